"""Whether one layer holds what the layer before holds: measures, and the keys that differ."""
