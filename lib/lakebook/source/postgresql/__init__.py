"""PostgreSQL as a source, read through awswrangler; nothing outside knows its types' names."""
