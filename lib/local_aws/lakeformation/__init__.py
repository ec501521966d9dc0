"""Lake Formation: who may see which databases, tables, columns and rows, enforced where the lake is
read.
"""
