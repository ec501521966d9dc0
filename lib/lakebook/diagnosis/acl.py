"""Network ACLs: numbered rules, the first that matches decides, and answers need rules of their
own.
"""

from __future__ import annotations

import ipaddress
from typing import Any

Ports = tuple[int, int]
TCP = ("6", "-1")


def blocked(entries: list[dict[str, Any]], network: str, ports: Ports, *, egress: bool) -> str:
    """Why not all of these TCP ports are open to all of a network, by the rule that says so;
    nothing when they are.
    """
    target, remaining = ipaddress.ip_network(network, strict=False), [ports]
    rules = [
        each
        for each in entries
        if each["Egress"] == egress and each["Protocol"] in TCP and "CidrBlock" in each
    ]
    for rule in sorted(rules, key=lambda each: each["RuleNumber"]):
        span = (
            (rule["PortRange"]["From"], rule["PortRange"]["To"])
            if rule.get("PortRange")
            else (0, 65535)
        )
        around = ipaddress.ip_network(rule["CidrBlock"])
        hit = [each for each in remaining if each[0] <= span[1] and span[0] <= each[1]]
        if not hit or not target.overlaps(around):
            continue
        if rule["RuleAction"] == "deny":
            return f"rule {_number(rule)} denies tcp {span[0]}-{span[1]} for {rule['CidrBlock']}"
        if target.subnet_of(around):  # type: ignore[arg-type]
            remaining = [rest for each in remaining for rest in _without(each, span)]
    return (
        f"no rule allows tcp {remaining[0][0]}-{remaining[0][1]} for {network}" if remaining else ""
    )


def _without(ports: Ports, span: Ports) -> list[Ports]:
    """What is left of a range of ports when another is taken out of it."""
    before, after = (ports[0], min(ports[1], span[0] - 1)), (max(ports[0], span[1] + 1), ports[1])
    return [each for each in (before, after) if each[0] <= each[1]]


def _number(rule: dict[str, Any]) -> str:
    return "*" if rule["RuleNumber"] == 32767 else str(rule["RuleNumber"])
