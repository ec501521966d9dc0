"""What the lake consists of: raw, curated, warehouse, reporting, models, and how each is made."""
