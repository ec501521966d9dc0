"""Waiting for what engines do in their own time."""

import time


def until(read, done=bool, timeout_seconds=60):
    """What `read` returns once it is `done`; asked every 20 milliseconds."""
    end = time.monotonic() + timeout_seconds
    while not done(found := read()):
        assert time.monotonic() < end, f"still {found}"
        time.sleep(0.02)
    return found
