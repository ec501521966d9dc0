"""Glue: the Data Catalog, and jobs run on Spark."""
