"""Who may see what, in the lake and in the warehouse: declared, tried and ended."""
