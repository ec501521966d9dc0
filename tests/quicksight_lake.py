"""A small airline in a curated layer, and QuickSight beside it: what the tests of dashboards start
from.
"""

from functools import reduce
from operator import getitem

import awswrangler as wr
import boto3
import foundation
import numpy as np
import pandas as pd
from until import until

from lakebook import ensure
from lakebook.services import quicksight

ACCOUNT, REGION = foundation.ACCOUNT, foundation.REGION
FLIGHTS, BOOKINGS = 600, 900
UNSETTLED = "CREATION_IN_PROGRESS", "UPDATE_IN_PROGRESS", "INITIALIZED", "QUEUED", "RUNNING"
AIRLINES = {"AA": "American", "B6": "JetBlue", "UA": "United"}
AIRPORTS = {"LAX": (33.9, -118.4), "ORD": (42.0, -87.9), "BOS": (42.4, -71.0), "MIA": (25.8, -80.3)}


def build(names):
    """The curated tables, Athena's workgroup and QuickSight's role."""
    s3, where = boto3.client("s3"), {"LocationConstraint": REGION}
    for bucket in (names.curated_bucket, names.jobs_bucket):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    boto3.client("glue").create_database(DatabaseInput={"Name": names.database("curated")})
    for name, (frame, kinds) in tables().items():
        write(names, name, frame, kinds)
    results = {"ResultConfiguration": {"OutputLocation": f"s3://{names.jobs_bucket}/athena/"}}
    settings = {**results, "EnforceWorkGroupConfiguration": True}
    boto3.client("athena").create_work_group(
        Name=names.resource("lakebook"), Configuration=settings
    )
    ensure([*foundation.bootstrap(names), *quicksight.roles(names)], apply=True)


def write(names, name, frame, kinds=None):
    """One curated table, its files replaced."""
    where = {
        "path": f"s3://{names.curated_bucket}/{name}/",
        "database": names.database("curated"),
        "table": name,
    }
    wr.s3.to_parquet(frame, dataset=True, mode="overwrite", dtype=kinds, **where)


def read(names, name):
    """The rows of a curated table."""
    return wr.s3.read_parquet(f"s3://{names.curated_bucket}/{name}/", dataset=True)


def tables():
    """The tables with the types that pandas does not tell."""
    dice = np.random.default_rng(1)
    origin, destination = dice.choice(["JFK", "EWR"], FLIGHTS), dice.choice([*AIRPORTS], FLIGHTS)
    delay = dice.integers(-20, 90, FLIGHTS)
    cancelled = np.arange(FLIGHTS) % 50 == 0
    flights = pd.DataFrame(
        {
            "flight_id": np.arange(1, FLIGHTS + 1, dtype="int32"),
            "carrier": np.array([*AIRLINES])[np.arange(FLIGHTS) % 3],
            "origin": origin,
            "destination": destination,
            "scheduled_departure": (
                pd.Timestamp("2013-01-01") + pd.to_timedelta(np.arange(FLIGHTS) * 14, "h")
            ),
            "departure_delay": pd.array(np.where(cancelled, None, delay), dtype="Int16"),
            "arrival_delay": pd.array(np.where(cancelled, None, delay - 3), dtype="Int16"),
            "distance": dice.integers(200, 2600, FLIGHTS).astype("int32"),
            "cancelled": cancelled,
        }
    )
    bookings = pd.DataFrame(
        {
            "booking_id": np.arange(1, BOOKINGS + 1),
            "flight_id": dice.integers(1, FLIGHTS + 1, BOOKINGS).astype("int32"),
            "cabin": dice.choice(["economy", "business", "first"], BOOKINGS),
            "price": np.round(dice.random(BOOKINGS) * 900, 2),
            "cancelled": np.arange(BOOKINGS) % 25 == 11,
        }
    )
    places = [
        {"airport": each, "name": f"{each} airport", "latitude": y, "longitude": x}
        for each, (y, x) in AIRPORTS.items()
    ]
    lines = pd.DataFrame({"carrier": [*AIRLINES], "name": [*AIRLINES.values()]})
    return {
        "operations_flights": (flights, None),
        "operations_airlines": (lines, None),
        "operations_airports": (pd.DataFrame(places), None),
        "customers_bookings": (bookings, {"price": "decimal(10,2)"}),
    }


def settled(describe, member, status, **arguments):
    """What a describe call shows once the thing is no longer being made."""
    read = lambda: reduce(getitem, member.split("."), describe(AwsAccountId=ACCOUNT, **arguments))  # noqa: E731
    return until(read, lambda shown: shown[status] not in UNSETTLED)
