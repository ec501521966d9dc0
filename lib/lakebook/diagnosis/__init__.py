"""Where the path from DMS to the source is broken: hop by hop, with what was seen and the next
action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebook.diagnosis import access, line, permissions, quotas, vpc
from lakebook.diagnosis.answers import FAILED, NOT_CHECKED, NOT_YET, OK, Hop
from lakebook.diagnosis.guests import noticed
from lakebook.diagnosis.hops import look
from lakebook.diagnosis.path import Path
from lakebook.diagnosis.picture import plot
from lakebook.errors import CheckError
from lakebook.evidence import record, table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

__all__ = [
    "Hop",
    "Path",
    "diagnose",
    "first_broken",
    "noticed",
    "overview",
    "plot",
    "require",
    "require_one",
]

HOPS: list[tuple[str, str, Callable[[Path], str]]] = [
    ("Direct Connect connection", "line", line.connection),
    ("virtual interface", "line", line.virtual_interface),
    ("BGP peers", "line", line.bgp_peers),
    ("routes received", "line", line.received_routes),
    ("gateway association", "line", line.gateway_association),
    ("allowed prefixes", "line", line.allowed_prefixes),
    ("transit gateway routes", "line", line.transit_gateway_routes),
    ("gateway attachment", "VPC", vpc.gateway_attachment),
    ("subnet routes", "VPC", vpc.subnet_routes),
    ("security groups", "VPC", vpc.security_groups),
    ("network ACLs", "VPC", vpc.network_acls),
    ("endpoints", "VPC", vpc.endpoints),
    ("private DNS", "VPC", vpc.private_names),
    ("endpoint security groups", "VPC", vpc.endpoint_groups),
    ("on-premises DNS", "VPC", vpc.on_premises_names),
    ("secret", "access", access.secret),
    ("secret's role", "access", access.secret_role),
    ("encryption keys", "access", access.encryption_keys),
    ("DMS connection test", "source", access.dms_connection),
    ("source prerequisites", "source", access.source),
    ("operator's permissions", "account", permissions.permissions),
    ("service quotas", "account", quotas.quotas),
]


def diagnose(path: Path) -> list[Hop]:
    """Every hop in order; those behind a broken one are not checked, as they would say nothing."""
    hops: list[Hop] = []
    broken = ""
    for name, where, at in HOPS:
        if broken:
            hops.append(Hop(name, where, NOT_CHECKED, f"mend {broken} first", "", ""))
            continue
        hops.append(look(name, where, at, path))
        broken = name if hops[-1].verdict == FAILED else ""
    return hops


def overview(hops: list[Hop]) -> pd.DataFrame:
    """One line a hop: where, verdict, what was seen, next action; recorded."""
    rows = [
        {"hop": e.hop, "verdict": e.verdict, "seen": e.seen, "next action": e.action} for e in hops
    ]
    return table(rows, "diagnosis")


def first_broken(hops: list[Hop], phase: str) -> Hop | None:
    """The hop that stops a phase: broken or missing, and not something that this phase or a later
    one makes ("01").
    """
    for each in hops:
        if each.verdict in (FAILED, NOT_YET) and not each.mended_by > phase:
            return each
        if each.verdict == FAILED:
            return None  # a later phase mends it, and its own verdict covers the hops behind it
    return None


def require_one(paths: dict[str, Path], phase: str, *, when: bool = True) -> None:
    """Stop a phase where no source can be reached, by the names of the sources; where some can, the
    others are listed with what is broken. Raises CheckError.
    """
    found = {name: diagnose(path) for name, path in paths.items()} if when else {}
    broken = {name: hop for name, hops in found.items() if (hop := first_broken(hops, phase))}
    if not when or len(broken) == len(paths):
        require(next(iter(found.values()), []), phase, when=when)
        return
    rows = [
        {"source": name, "hop": hop.hop, "seen": hop.seen, "next action": hop.action}
        for name, hop in broken.items()
    ]
    if rows:
        print(table(rows, "sources that cannot be reached").to_string(index=False), flush=True)
    for hops in (each for name, each in found.items() if name not in broken):
        require(hops, phase)


def require(hops: list[Hop], phase: str, *, when: bool = True) -> None:
    """Stop a phase ("01") at the first hop that no later phase mends; raises CheckError with its
    next action.

    `when` is False for what only an applied run can show.
    """
    if not when:
        print("--  first broken hop: checked when applied", flush=True)
        return
    found, passed = first_broken(hops, phase), sum(each.verdict == OK for each in hops)
    record(
        "check",
        fact="first broken hop",
        expected=None,
        measured=found and found.hop,
        ok=found is None,
    )
    if found:
        raise CheckError(
            f"{found.hop}: {found.seen or 'broken'}."
            f" {found.action or f'Run phase {found.mended_by} again.'}"
        )
    print(f"ok  no hop stops this phase: {passed} of {len(hops)} carry", flush=True)
