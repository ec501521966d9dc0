"""Athena: Trino's SQL on DuckDB over the catalog and the objects of the lake."""
