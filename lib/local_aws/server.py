"""Start the stand-in: everything is made here and handed to who needs it, the gateway serves on a
port of this machine.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_aws.gateway import Gateway
    from local_aws.service import Service

from local_aws.environment import ADMINISTRATOR, OVERRIDING, environment, write_credentials
from local_aws.errors import LocalAwsError
from local_aws.names import REGION, WEATHER
from local_aws.service import service_of
from local_aws.stand_in import StandIn

STOP_POLL_SECONDS = 0.05  # how often the gateway looks whether it is to stop


@contextlib.contextmanager
def serving(directory: Path, port: int = 0, weather_seed: int | None = None) -> Iterator[StandIn]:
    """Serve from a thread of this process, in fair weather unless a seed says otherwise; the
    stand-in, ready; raises LocalAwsError when the port is taken.
    """
    port = _free(port)
    directory.mkdir(parents=True, exist_ok=True)
    write_credentials(directory)
    for name in OVERRIDING:
        os.environ.pop(name, None)
    os.environ.update(
        environment(f"http://127.0.0.1:{port}", directory),
        MOTO_IAM_LOAD_MANAGED_POLICIES="true",
        MOTO_EC2_LOAD_DEFAULT_AMIS="false",  # no instance is started here
    )
    from moto.moto_server.werkzeug_app import MotoRequestHandler  # noqa: PLC0415 - moto reads its environment when it is imported
    from werkzeug.serving import make_server  # noqa: PLC0415

    from local_aws.weather import Weather  # noqa: PLC0415

    class Quiet(MotoRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            """Say nothing: calls.jsonl has every call."""

    stand_in, made, gateway = _assembled(directory, port)
    (directory / WEATHER).unlink(missing_ok=True)
    application: Any = gateway
    if weather_seed is not None:
        application = Weather(gateway, weather_seed, directory / WEATHER)
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Quiet)
    threading.Thread(
        target=server.serve_forever, args=(STOP_POLL_SECONDS,), name="gateway", daemon=True
    ).start()
    try:
        yield stand_in
    finally:
        for service in made.values():
            service.stop()
        server.shutdown()
        server.server_close()


def _assembled(directory: Path, port: int) -> tuple[StandIn, dict[str, Service], Gateway]:
    from moto.moto_api._internal.models import moto_api_backend  # noqa: PLC0415
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - moto reads its environment when it is imported

    from local_aws import services  # noqa: PLC0415
    from local_aws.cloudtrail.service import CloudTrail  # noqa: PLC0415
    from local_aws.directconnect import landing_zone  # noqa: PLC0415
    from local_aws.directconnect.service import DirectConnect  # noqa: PLC0415
    from local_aws.ec2 import moto_gaps  # noqa: PLC0415
    from local_aws.engines.authorized_objects import AuthorizedObjects  # noqa: PLC0415
    from local_aws.gateway import Gateway  # noqa: PLC0415
    from local_aws.iam import aws_policies  # noqa: PLC0415
    from local_aws.iam.authority import Authority  # noqa: PLC0415
    from local_aws.iam.principals import Principals, add_user_key  # noqa: PLC0415
    from local_aws.iam.records import LOOKUPS  # noqa: PLC0415
    from local_aws.s3.objects import Objects  # noqa: PLC0415
    from local_aws.scenarios import running  # noqa: PLC0415

    aws_policies.read_once()
    moto_api_backend.reset()  # its state is the process's: an earlier stand-in's account
    objects = Objects(directory / "s3")
    stand_in = StandIn(directory, objects, f"http://127.0.0.1:{port}", REGION)
    moto = DomainDispatcherApplication(create_backend_app)
    moto.get_backend_for_host = functools.cache(
        moto.get_backend_for_host
    )  # else it lists moto's own folder at every call
    lookups = dict(LOOKUPS)
    stand_in.principals, stand_in.objects_as = Principals(), AuthorizedObjects
    stand_in.authority = Authority(REGION, stand_in.client, lookups)
    add_user_key("administrator", *ADMINISTRATOR, "arn:aws:iam::aws:policy/AdministratorAccess")
    made = services.make(stand_in)
    lookups |= services.lookups(made)
    lines, recorder = service_of(made, DirectConnect), service_of(made, CloudTrail).recorder
    moto_gaps.fill(lines.routes_changed)
    landing_zone.hand_over(lines)
    scenarios = {running.PATH: running.Scenarios(stand_in, made).answer}
    routes = services.routes(made) | scenarios
    return stand_in, made, Gateway(moto, stand_in, made, routes, recorder.observe)


def put_secret(stand_in: StandIn, name: str, content: dict[str, Any]) -> None:
    """Put the source database's credentials into the stand-in's Secrets Manager."""
    stand_in.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(content))


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
