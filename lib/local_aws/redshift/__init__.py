"""Redshift: its SQL on DuckDB, through the Data API, in clusters and workgroups."""
