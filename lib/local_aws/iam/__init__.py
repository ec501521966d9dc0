"""IAM: policies kept, and every call judged by them."""
