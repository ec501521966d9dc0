"""Scripts that run inside AWS: the same files here and there."""
