"""S3: objects are plain files."""
