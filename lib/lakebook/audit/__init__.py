"""What CloudTrail recorded of a run, and the smallest policy that would have allowed it."""
