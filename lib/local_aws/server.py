"""Start the stand-in: the gateway with its services on a port of this machine, and the source database's secret in it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from local_aws.service import Service
from local_aws.stand_in import StandIn

REGION = "eu-west-1"
SERVICE_MODULES = ("athena", "dms", "glue", "lakeformation", "redshift_data", "redshift_serverless")


class LocalAwsError(Exception):
    """The stand-in cannot start or be reached: one sentence that says why and what to do."""


def environment(endpoint: str) -> dict[str, str]:
    """The variables that point every AWS client at the stand-in and nowhere else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextlib.contextmanager
def serving(directory: Path, port: int = 0) -> Iterator[StandIn]:
    """Serve from a thread of this process; the stand-in, ready; raises LocalAwsError when the port is taken."""
    port = _free(port)
    os.environ.update(environment(f"http://127.0.0.1:{port}"), MOTO_IAM_LOAD_MANAGED_POLICIES="true")
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - moto reads its environment when it is imported
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    from local_aws.gateway import Gateway  # noqa: PLC0415
    from local_aws.s3 import Objects  # noqa: PLC0415

    class Quiet(MotoRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            """Say nothing: calls.jsonl has every call."""

    directory.mkdir(parents=True, exist_ok=True)
    objects = Objects(directory / "s3")
    stand_in = StandIn(directory, objects, f"http://127.0.0.1:{port}", REGION)
    gateway = Gateway(DomainDispatcherApplication(create_backend_app), objects, directory / "calls.jsonl")
    gateway.services = {each.name: each(stand_in) for each in service_classes()}
    server = make_server("127.0.0.1", port, gateway, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, name="gateway", daemon=True).start()
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
            raise LocalAwsError(f"Port {port} is in use by another program; choose a free one with --port.") from taken
        return int(probe.getsockname()[1])
