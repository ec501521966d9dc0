"""QuickSight: rows really ingested, dashboards rendered as web pages."""
