"""Run the stand-in: in the foreground, or in the background with `up` and `down`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_aws import settings
from local_aws.engines.postgresql import Server, ServerError, Source
from local_aws.environment import OVERRIDING, environment
from local_aws.errors import LocalAwsError
from local_aws.names import SOURCE_SECRET, WEATHER
from local_aws.server import put_secret, serving

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn

START_SECONDS = 300  # making the demo database takes most of it


def main() -> int:
    """Exit code 0, or 1 with one sentence on what is wrong and what to do."""
    parser = argparse.ArgumentParser(prog="python -m local_aws", description=__doc__)
    parser.add_argument(
        "act",
        nargs="?",
        choices=["run", "up", "down", "scenario"],
        default="run",
        help="foreground (default), start in the background, stop, break something for practice",
    )
    parser.add_argument(
        "name", nargs="?", default="list", help="after scenario: its name, list (default) or clear"
    )
    parser.add_argument(
        "--source",
        default=os.environ.get("LOCAL_AWS_SOURCE", ""),
        metavar="URL",
        help="postgresql://user:password@host:port/database instead of the demo database",
    )
    parser.add_argument("--port", type=int, default=4590)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".local_aws"),
        metavar="DIR",
        help="where everything is kept (default .local_aws)",
    )
    parser.add_argument(
        "--weather",
        type=int,
        metavar="SEED",
        help="AWS on a bad day: throttled and failing calls, lost answers, late reads, sessions"
        " that end",
    )
    options = parser.parse_args()
    options.data = options.data.resolve()
    try:
        {"run": run, "up": up, "down": down, "scenario": scenario}[options.act](options)
    except (LocalAwsError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM; raises LocalAwsError or ServerError when it cannot start."""
    if running := _running(options.data):
        raise LocalAwsError(
            f"A stand-in already runs in {options.data.name} at {running['endpoint']}; `make down`"
            " stops it."
        )
    options.data.mkdir(parents=True, exist_ok=True)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with contextlib.ExitStack() as until_stopped:
        if options.weather is not None:
            from local_aws.weather import SETTLE_SECONDS  # noqa: PLC0415 - imports every service

            until_stopped.enter_context(settings.settling(SETTLE_SECONDS))
        stand_in = until_stopped.enter_context(serving(options.data, options.port, options.weather))
        server = None if options.source else Server(options.data / "postgresql")
        try:
            source = _source(options.source) if server is None else _demo(server, stand_in)
            put_secret(stand_in, SOURCE_SECRET, source.to_secret())
            state = {"pid": os.getpid(), "endpoint": stand_in.endpoint, "source": _label(source)}
            _state(options.data).write_text(json.dumps(state))
            _print_exports(stand_in.endpoint, options.data)
            stopped.wait()
        finally:
            _state(options.data).unlink(missing_ok=True)
            if server:
                server.stop()


def up(options: argparse.Namespace) -> None:
    """Start in the background, unless it runs already, and print the export lines once it is
    ready.
    """
    running = _running(options.data)
    if running and options.source and running["source"] != _label(_source(options.source)):
        raise LocalAwsError(
            f"The stand-in runs with the source {running['source']}; `make down` first, then start"
            " it with another one."
        )
    if not running:
        running = _start(options)
    _print_exports(running["endpoint"], options.data)


def down(options: argparse.Namespace) -> None:
    """Stop the stand-in and its database; says so when there is none."""
    running = _running(options.data)
    if running:
        os.kill(running["pid"], signal.SIGTERM)
        _wait(lambda: not _alive(running["pid"]), 30, "The stand-in does not stop")
    if (options.data / "postgresql").exists():
        Server(options.data / "postgresql").stop()
    print("The stand-in is stopped." if running else "No stand-in was running.", file=sys.stderr)
    if running and (told := weather(options.data)):
        print(told, file=sys.stderr)


def weather(directory: Path) -> str:
    """What the weather of this directory's stand-in did, in a line; empty where it was fair."""
    try:
        kept = json.loads((directory / WEATHER).read_text())
    except OSError:
        return ""
    sums: Counter[str] = Counter()
    for each, count in kept["counted"].items():
        sums[each.partition(" ")[0]] += count
    did = ", ".join(f"{count} {what}" for what, count in sums.items()) or "nothing"
    return f"The weather of seed {kept['seed']}: {did}; each call of it is in {WEATHER}."


def scenario(options: argparse.Namespace) -> None:
    """Break one hop of the stand-in that runs, mend everything (clear), or list what can be
    broken.
    """
    running = _running(options.data)
    if not running:
        raise LocalAwsError(
            "No stand-in runs: start it with `make rehearse`, or `python -m local_aws up`."
        )
    told = {"list": None, "clear": {"clear": True}}.get(options.name, {"start": options.name})
    body = json.dumps(told).encode() if told else None
    request = urllib.request.Request(f"{running['endpoint']}/_local_aws/scenarios", data=body)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            content = json.load(answer)
    except urllib.error.HTTPError as error:
        raise LocalAwsError(json.load(error)["error"]) from error
    for name, what in content["scenarios"].items():
        print(f"{'running' if name in content['running'] else '':8}{name:24}{what}")


def _start(options: argparse.Namespace) -> dict[str, Any]:
    options.data.mkdir(parents=True, exist_ok=True)
    log = options.data / "local_aws.log"
    command = [
        sys.executable,
        "-m",
        "local_aws",
        "run",
        "--port",
        str(options.port),
        "--data",
        str(options.data),
        *([] if options.weather is None else ["--weather", str(options.weather)]),
    ]
    environ = dict(
        os.environ, LOCAL_AWS_SOURCE=options.source
    )  # not on the command line, where everybody can read a password
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environ,
        )
    shown = 0

    def ready() -> bool:
        nonlocal shown
        text = log.read_text(errors="replace")
        new, shown = text[shown:], len(text)
        sys.stderr.write(
            "".join(
                line
                for line in new.splitlines(keepends=True)
                if not line.startswith(("export ", "unset "))
            )
        )
        if process.poll() is not None:
            raise LocalAwsError("The stand-in did not start.")
        return _running(options.data) is not None

    _wait(ready, START_SECONDS, "The stand-in is not ready")
    return _running(options.data) or {}


def _source(url: str) -> Source:
    try:
        return Source.from_url(url)
    except ValueError as error:
        raise LocalAwsError(str(error)) from error


def _demo(server: Server, stand_in: StandIn) -> Source:
    from local_aws import demo  # noqa: PLC0415 - another source needs no demo data
    from local_aws.demo import documents  # noqa: PLC0415

    server.start()
    scale = float(os.environ.get("DEMO_SCALE", "1"))
    source = demo.build(server, scale)
    documents.deliver(stand_in, server, demo.DATABASE, scale)
    return source


def _running(data: Path) -> dict[str, Any] | None:
    """What runs in a directory, when it still answers."""
    try:
        state: dict[str, Any] = json.loads(_state(data).read_text())
        with urllib.request.urlopen(f"{state['endpoint']}/_local_aws", timeout=5) as answer:  # noqa: S310 - our own address
            return state if json.load(answer) == {"directory": str(data)} else None
    except (OSError, ValueError):
        return None


def _print_exports(endpoint: str, directory: Path) -> None:
    print(f"unset {' '.join(OVERRIDING)}", flush=True)
    for name, value in environment(endpoint, directory).items():
        print(f"export {name}={shlex.quote(value)}", flush=True)


def _wait(done: Any, timeout_seconds: float, complaint: str) -> None:
    start = time.monotonic()
    while not done():
        if time.monotonic() - start > timeout_seconds:
            raise LocalAwsError(
                f"{complaint} after {timeout_seconds:.0f} seconds; see local_aws.log in its"
                " directory."
            )
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _label(source: Source) -> str:
    return f"{source.host}:{source.port}/{source.database}"


def _state(data: Path) -> Path:
    return data / "running.json"


if __name__ == "__main__":
    raise SystemExit(main())
