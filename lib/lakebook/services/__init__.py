"""One module for each AWS service, named as boto3 names it: what must exist, as resources."""
