"""The network ACL of our VPC: nothing from outside but answers, as a second wall behind the
security groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.services.ec2 import Network

LAST_RULE = 32767  # AWS's own, which denies the rest
EPHEMERAL = {"From": 1024, "To": 65535}


@resource
def network_acl(name: str, network: Network, open_to: list[str]) -> Iterator[Call]:
    """The default ACL of our VPC: everything from the ranges `open_to`, and answers from S3, whose
    addresses are public.

    Network ACLs know no connections, so that answers are let in by their ports (Security Hub
    control EC2.21).
    """
    del name
    client = aws.client("ec2")
    filters: list[Any] = [
        {"Name": "vpc-id", "Values": [network.vpc()]},
        {"Name": "default", "Values": ["true"]},
    ]
    for acl in client.describe_network_acls(Filters=filters)["NetworkAcls"]:
        inbound = [
            each
            for each in acl["Entries"]
            if not each["Egress"] and each["RuleNumber"] != LAST_RULE
        ]
        actual = {each["RuleNumber"]: each for each in inbound}
        for number, rule in _rules(open_to).items():
            arguments = {
                "NetworkAclId": acl["NetworkAclId"],
                "RuleNumber": number,
                "Egress": False,
                **rule,
            }
            if number not in actual:
                yield Call(client.create_network_acl_entry, arguments)
            elif not rule.items() <= actual[number].items():
                yield Call(client.replace_network_acl_entry, arguments)
        for number in sorted(set(actual) - set(_rules(open_to))):
            arguments = {"NetworkAclId": acl["NetworkAclId"], "RuleNumber": number, "Egress": False}
            yield Call(client.delete_network_acl_entry, arguments)


def _rules(open_to: list[str]) -> dict[int, dict[str, Any]]:
    """Inbound rules by their number; the first, 100, takes the place of the one with which AWS lets
    everything in.
    """
    allowed: list[dict[str, Any]] = [{"Protocol": "-1", "CidrBlock": each} for each in open_to]
    answers: dict[str, Any] = {"Protocol": "6", "CidrBlock": "0.0.0.0/0", "PortRange": EPHEMERAL}
    return {
        100 + 10 * at: {**rule, "RuleAction": "allow"}
        for at, rule in enumerate([*allowed, answers])
    }
