"""AWS Glue's Python library as far as scripts here use it, over plain Spark; the rest raises
NotImplementedError.
"""
