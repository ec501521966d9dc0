"""The people of the lake: what columns are, and who sees which."""
