"""What AWS Glue offers to job scripts; this folder is on their PYTHONPATH."""
