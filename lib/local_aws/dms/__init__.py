"""DMS: PostgreSQL really copied to Parquet in S3."""
