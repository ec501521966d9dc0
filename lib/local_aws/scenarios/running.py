"""Incidents to practise with: each breaks one hop of the running stand-in in a way that happens on
AWS, and can be mended.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.engines.postgresql import ServerError
from local_aws.scenarios import access, network, people
from local_aws.scenarios.scenario import Scenario, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_aws.service import Service
    from local_aws.stand_in import StandIn

PATH = "/_local_aws/scenarios"
SCENARIOS: dict[str, Scenario] = {**network.SCENARIOS, **access.SCENARIOS, **people.SCENARIOS}


class Scenarios:
    """What is broken now, and how to undo it."""

    def __init__(self, stand_in: StandIn, services: dict[str, Service]) -> None:
        self.stand_in, self.services = stand_in, services
        self._undo: dict[str, Callable[[], object]] = {}
        self._lock = threading.Lock()

    def start(self, name: str) -> None:
        """Break something; raises ScenarioError when there is no such scenario, it runs already, or
        its thing is not there.
        """
        with self._lock:
            if name not in SCENARIOS:
                raise ScenarioError(
                    f"There is no scenario {name}; there are {', '.join(SCENARIOS)}."
                )
            if name in self._undo:
                raise ScenarioError(
                    f"The scenario {name} runs already; `python -m local_aws scenario clear`"
                    " ends it."
                )
            try:
                self._undo[name] = SCENARIOS[name].breaks(self.stand_in, self.services)
            except (ClientError, BotoCoreError, ServerError) as error:
                raise ScenarioError(f"The scenario {name} cannot start: {error}") from error

    def clear(self) -> list[str]:
        """Mend everything, the last broken first; the names of what was broken."""
        with self._lock:
            cleared = []
            for name in reversed(list(self._undo)):
                self._undo.pop(name)()
                cleared.append(name)
            return cleared

    def answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """GET lists the scenarios, POST starts one (`{"start": name}`) or clears them all
        (`{"clear": true}`) (WSGI).
        """
        status, content = "200 OK", self._listed()
        try:
            if environ["REQUEST_METHOD"] == "POST":
                content = self._done(
                    json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
                )
        except ScenarioError as error:
            status, content = "409 Conflict", {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(content).encode()]

    def _done(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("clear"):
            return {"cleared": self.clear(), **self._listed()}
        self.start(request["start"])
        return self._listed()

    def _listed(self) -> dict[str, Any]:
        return {
            "scenarios": {name: each.what for name, each in SCENARIOS.items()},
            "running": list(self._undo),
        }
