"""Fingerprints of a source, of this version and of those before."""

from __future__ import annotations

import json
from typing import Any


def unchanged(kept: str | None, now: str) -> bool:
    """Whether the source is as it was when its fingerprint was kept; what an older version did not
    look at is taken to be the same, so that nothing is copied anew for it.
    """
    if not kept or kept == now:
        return kept == now
    try:
        before, after = json.loads(kept), json.loads(now)
    except ValueError:
        return False
    return bool(before == _before_definitions(after))


def _before_definitions(found: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in found.items() if name != "definitions"}
