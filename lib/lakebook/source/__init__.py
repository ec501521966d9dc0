"""The source database: its model, its engine, and what becomes of its types and names."""
