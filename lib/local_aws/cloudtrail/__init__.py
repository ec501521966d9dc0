"""CloudTrail: every call recorded, delivered in files with signed digests, and looked up."""
