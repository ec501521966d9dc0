"""Start the stand-in: the gateway with its services on a port of this machine, and the source
database's secret in it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_aws.directconnect.service import DirectConnect

from local_aws.service import Service
from local_aws.stand_in import StandIn

REGION = "eu-west-1"
# an access key that opens nothing outside this machine
ADMINISTRATOR = ("AKIAREHEARSAL0000000", "rehearsal")
SERVICE_MODULES = (
    "athena.service",
    "budgets",
    "cloudtrail.service",
    "directconnect.service",
    "dms.service",
    "glue.service",
    "iam.service",
    "kms",
    "lakeformation.service",
    "quicksight.service",
    "redshift.clusters",
    "redshift.data",
    "redshift.serverless",
    "route53resolver",
    "sagemaker.service",
    "servicequotas",
    "sts",
)


STOP_POLL_SECONDS = 0.05  # how often the gateway looks whether it is to stop

# boto3 prefers these to a profile
OVERRIDING = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)


class LocalAwsError(Exception):
    """The stand-in cannot start or be reached: one sentence that says why and what to do."""


def environment(endpoint: str, directory: Path) -> dict[str, str]:
    """The variables that point every AWS client at the stand-in in `directory` and nowhere else.

    The administrator's key is in a file and not in a variable, which boto3 would prefer to any
    AWS_PROFILE.
    """
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
    }


def write_credentials(directory: Path) -> None:
    """The administrator's key, as the profile `default`."""
    key, secret = ADMINISTRATOR
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    (directory / "credentials").write_text(text)


@contextlib.contextmanager
def serving(directory: Path, port: int = 0) -> Iterator[StandIn]:
    """Serve from a thread of this process; the stand-in, ready; raises LocalAwsError when the port
    is taken.
    """
    port = _free(port)
    directory.mkdir(parents=True, exist_ok=True)
    write_credentials(directory)
    for name in OVERRIDING:
        os.environ.pop(name, None)
    os.environ.update(
        environment(f"http://127.0.0.1:{port}", directory), MOTO_IAM_LOAD_MANAGED_POLICIES="true"
    )
    from moto.iam import models as moto_iam  # noqa: PLC0415
    from moto.moto_api._internal.models import moto_api_backend  # noqa: PLC0415
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - moto reads its environment when it is imported
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    from local_aws import ec2_gaps, landing_zone  # noqa: PLC0415
    from local_aws.gateway import Gateway  # noqa: PLC0415
    from local_aws.iam.authority import Authority  # noqa: PLC0415
    from local_aws.principals import Principals, add_user_key  # noqa: PLC0415
    from local_aws.s3.objects import Objects  # noqa: PLC0415
    from local_aws.scenarios.running import Scenarios  # noqa: PLC0415

    class Quiet(MotoRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            """Say nothing: calls.jsonl has every call."""

    moto_iam.PARTITION_NAMES = ["aws"]  # else it reads AWS's policies for each of five partitions
    moto_api_backend.reset()  # its state is the process's: an earlier stand-in's account
    objects = Objects(directory / "s3")
    stand_in = StandIn(directory, objects, f"http://127.0.0.1:{port}", REGION)
    moto = DomainDispatcherApplication(create_backend_app)
    moto.get_backend_for_host = functools.cache(
        moto.get_backend_for_host
    )  # else it lists moto's own folder at every call
    gateway = Gateway(moto, stand_in)
    stand_in.principals, stand_in.authority = Principals(), Authority(stand_in, gateway.services)
    add_user_key("administrator", *ADMINISTRATOR, "arn:aws:iam::aws:policy/AdministratorAccess")
    gateway.services.update({each.name: each(stand_in) for each in service_classes()})
    gateway.observe = stand_in.recorder.observe
    lines = cast("DirectConnect", gateway.services["directconnect"])
    ec2_gaps.fill(lines.routes_changed)
    landing_zone.hand_over(lines)
    gateway.scenarios = Scenarios(stand_in, gateway.services).answer
    server = make_server("127.0.0.1", port, gateway, threaded=True, request_handler=Quiet)
    threading.Thread(
        target=server.serve_forever, args=(STOP_POLL_SECONDS,), name="gateway", daemon=True
    ).start()
    try:
        yield stand_in
    finally:
        for service in gateway.services.values():
            service.stop()
        server.shutdown()
        server.server_close()


def service_classes() -> list[type[Service]]:
    """Our own services, one class each."""
    for module in SERVICE_MODULES:
        import_module(f"local_aws.{module}")
    return [each for each in _subclasses(Service) if hasattr(each, "name")]


def put_secret(stand_in: StandIn, name: str, content: dict[str, Any]) -> None:
    """Put the source database's credentials into the stand-in's Secrets Manager."""
    stand_in.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(content))


def _subclasses(parent: type[Service]) -> list[type[Service]]:
    return [each for child in parent.__subclasses__() for each in (child, *_subclasses(child))]


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            raise LocalAwsError(
                f"Port {port} is in use by another program; choose a free one with --port."
            ) from taken
        return int(probe.getsockname()[1])
