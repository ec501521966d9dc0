"""The network that phases are put into: found by name, or by the ids that the parameters give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import current
from lakebook.errors import LakebookError

if TYPE_CHECKING:
    from lakebook.names import Names

AMAZON_DNS = "AmazonProvidedDNS"


@dataclass(frozen=True)
class Network:
    """A VPC with private subnets: those named by id, else those that 02_foundation makes under our
    names.
    """

    names: Names
    vpc_id: str = ""
    subnet_ids: list[str] = field(default_factory=list)

    def vpc(self) -> str:
        """The VPC's id, or words in its stead while there is none, for plans."""
        if self.subnet_ids and not self.vpc_id:
            return str(self._named()[0]["VpcId"])
        return (
            self.vpc_id
            or find("Vpcs", self.names.resource("vpc"))
            or f"<the VPC {self.names.resource('vpc')}>"
        )

    def subnets(self) -> list[dict[str, Any]]:
        """The subnets as EC2 describes them, sorted by Availability Zone; none while they are not
        made.

        Raises LakebookError where those named are absent, in one Availability Zone, or in another
        VPC.
        """
        found = (
            self._named()
            if self.subnet_ids
            else described("Subnets", self.names.resource("private") + "-*")
        )
        return sorted(found, key=lambda each: str(each["AvailabilityZone"]))

    def ids(self) -> list[str]:
        """The subnets' ids, or words in their stead while there are none, for plans."""
        found = [str(each["SubnetId"]) for each in self.subnets()]
        return found or [f"<the private subnets of {self.names.resource('vpc')}>"]

    @property
    def of_others(self) -> bool:
        """Whether the VPC is somebody else's, in which we are guests."""
        return bool(self.vpc_id or self.subnet_ids)

    def ranges(self) -> list[str]:
        """The IPv4 ranges of the VPC; none while there is none."""
        return [
            each["CidrBlock"]
            for vpc in self._described()
            for each in vpc["CidrBlockAssociationSet"]
            if each["CidrBlockState"]["State"] == "associated"
        ]

    def dns_servers(self) -> list[str]:
        """The IPv4 addresses of the name servers that the VPC's DHCP options name; none where
        Amazon's own answers.
        """
        ids = [vpc.get("DhcpOptionsId") or "default" for vpc in self._described()]
        if ids in ([], ["default"]):
            return []
        found = aws.client("ec2").describe_dhcp_options(DhcpOptionsIds=ids)["DhcpOptions"]
        servers = [
            value["Value"]
            for option in found
            for each in option["DhcpConfigurations"]
            if each["Key"] == "domain-name-servers"
            for value in each["Values"]
        ]
        return [each for each in servers if each != AMAZON_DNS and ":" not in each]

    def hosted_zones(self) -> list[str]:
        """The domains of which private hosted zones tell the VPC's resolver, as a hub shares them;
        none while there is no VPC.
        """
        region: Any = self.names.region
        route53 = aws.client("route53")
        found: list[str] = []
        for vpc in self._described():
            asked: dict[str, Any] = {"VPCId": vpc["VpcId"], "VPCRegion": region}
            while asked:
                page = route53.list_hosted_zones_by_vpc(**asked)
                found += [each["Name"].rstrip(".") for each in page["HostedZoneSummaries"]]
                asked = {**asked, "NextToken": page["NextToken"]} if page.get("NextToken") else {}
        return found

    def route_tables(self) -> list[str]:
        """The ids of the tables that route for the subnets, sorted; the VPC's main table where a
        subnet has none of its own.
        """
        ids = [each["SubnetId"] for each in self.subnets()]
        routing = self._routing() if ids else {}
        return sorted({routing[each] for each in ids})

    def shared_tables(self) -> list[str]:
        """Those of `route_tables` that route for subnets, too, which are not ours; sorted."""
        ids = {each["SubnetId"] for each in self.subnets()} if self.of_others else set()
        routing = self._routing() if ids else {}
        others = {table for each, table in routing.items() if each not in ids}
        return sorted({routing[each] for each in ids} & others)

    def _routing(self) -> dict[str, str]:
        """The table that routes for each subnet of the VPC."""
        client = aws.client("ec2")
        filters: list[Any] = [{"Name": "vpc-id", "Values": [self.vpc()]}]
        tables = client.describe_route_tables(Filters=filters)["RouteTables"]
        pairs = [
            (table["RouteTableId"], each) for table in tables for each in table["Associations"]
        ]
        explicit = {each.get("SubnetId"): table for table, each in pairs}
        main = next((table for table, each in pairs if each.get("Main")), "")
        subnets = client.describe_subnets(Filters=filters)["Subnets"]
        return {each["SubnetId"]: explicit.get(each["SubnetId"], main) for each in subnets}

    def _described(self) -> list[dict[str, Any]]:
        """The VPC, or nothing while there is none."""
        vpc_id = self.vpc()
        if vpc_id.startswith("<"):
            return []
        return [dict(each) for each in aws.client("ec2").describe_vpcs(VpcIds=[vpc_id])["Vpcs"]]

    def has_default_route(self) -> bool:
        """Whether every subnet has a route to all addresses, as to a NAT gateway or a hub."""
        tables = aws.client("ec2").describe_route_tables(RouteTableIds=self.route_tables())
        return all(
            any(
                route.get("DestinationCidrBlock") == "0.0.0.0/0" and route["State"] == "active"
                for route in each["Routes"]
            )
            for each in tables["RouteTables"]
        )

    def _named(self) -> list[dict[str, Any]]:
        found = current(
            aws.client("ec2").describe_subnets,
            "InvalidSubnetID.NotFound",
            SubnetIds=self.subnet_ids,
        )
        if found is None:
            raise LakebookError(
                f"One of the subnets {', '.join(self.subnet_ids)} does not exist in this account"
                " and Region; correct subnet_ids."
            )
        subnets: list[dict[str, Any]] = found["Subnets"]
        zones, vpcs = (
            {each["AvailabilityZone"] for each in subnets},
            {each["VpcId"] for each in subnets},
        )
        if len(zones) < 2:
            raise LakebookError(
                f"The subnets {', '.join(self.subnet_ids)} are all in {zones.pop()}; name private"
                " subnets in at least two Availability Zones, three for Redshift Serverless."
            )
        if len(vpcs) > 1 or (self.vpc_id and vpcs != {self.vpc_id}):
            raise LakebookError(
                f"The subnets {', '.join(self.subnet_ids)} are not in one VPC but in"
                f" {', '.join(sorted(vpcs))}; name subnets of {self.vpc_id or 'one VPC'} alone."
            )
        return subnets


def overview(network: Network) -> list[dict[str, Any]]:
    """The subnets, a line each: subnet, zone, range, free addresses, VPC; none while they are not
    made.
    """
    members = {
        "subnet": "SubnetId",
        "zone": "AvailabilityZone",
        "range": "CidrBlock",
        "free addresses": "AvailableIpAddressCount",
        "vpc": "VpcId",
    }
    return [{name: each[member] for name, member in members.items()} for each in network.subnets()]


def subnets(names: Names, subnet_ids: list[str]) -> list[str]:
    """The ids of the private subnets phases use: those named, or for an empty list those that
    02_foundation makes.
    """
    return Network(names, subnet_ids=subnet_ids).ids()


def security_group_ids(names: Names, phase: str, subnet_ids: list[str]) -> list[str]:
    """The id of a phase's security group in the VPC of these subnets, in a list as AWS wants it;
    words in its stead while there is none.
    """
    filters: list[Any] = [{"Name": "subnet-id", "Values": subnet_ids}]
    found = aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    return [group_id(names.resource(phase), found[0]["VpcId"] if found else "<the VPC>")]


def group_id(name: str, vpc_id: str) -> str:
    """The id of the security group of that name in a VPC, as another VPC may have one, too; words
    in its stead while there is none.
    """
    filters: list[Any] = [
        {"Name": "group-name", "Values": [name]},
        {"Name": "vpc-id", "Values": [vpc_id]},
    ]
    found = aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(found[0]["GroupId"]) if found else f"<the security group {name}>"


def find(member: str, name: str) -> str | None:
    """The id of the one thing whose tag Name is `name`, or None; `member` is EC2's plural: Vpcs,
    Subnets, RouteTables.
    """
    found = described(member, name)
    return str(found[0][f"{member[:-1]}Id"]) if found else None


def described(member: str, name: str) -> list[dict[str, Any]]:
    """All things whose tag Name is `name`, which may hold `*`."""
    calls = {
        "Vpcs": "describe_vpcs",
        "Subnets": "describe_subnets",
        "RouteTables": "describe_route_tables",
    }
    filters = [{"Name": "tag:Name", "Values": [name]}]
    found: list[dict[str, Any]] = getattr(aws.client("ec2"), calls[member])(Filters=filters)[member]
    return found


def tag_specifications(kind: str, name: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    """Tags as EC2's create calls want them, with a Name."""
    pairs = [{"Key": key, "Value": value} for key, value in {"Name": name, **tags}.items()]
    return [{"ResourceType": kind, "Tags": pairs}]
