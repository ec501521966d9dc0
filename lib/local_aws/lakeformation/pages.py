"""Pages of Lake Formation's listings."""

from __future__ import annotations

from typing import Any

from local_aws.lakeformation.resources import invalid

LARGEST = 1000


def page(
    member: str, items: list[Any], request: dict[str, Any], usual: int = LARGEST
) -> dict[str, Any]:
    """One page of a listing; the token is the number of items before the next one.
    Without MaxResults a page has the usual number. Raises InvalidInputException.
    """
    token, size = request.get("NextToken") or "0", request.get("MaxResults") or usual
    if not token.isdigit():
        raise invalid("NextToken is not valid")
    if not 1 <= size <= LARGEST:
        raise invalid(f"MaxResults must be between 1 and {LARGEST}")
    start = int(token)
    rest = {"NextToken": str(start + size)} if len(items) > start + size else {}
    return {member: items[start : start + size], **rest}
