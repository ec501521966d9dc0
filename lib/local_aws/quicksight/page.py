"""A dashboard as a web page at the stand-in's own address; filters ask again over HTTP, nothing
else is asked of anybody.
"""

from __future__ import annotations

import datetime
import json
import time
import urllib.parse
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from local_aws.quicksight.charts import figure
from local_aws.quicksight.dashboards import Dashboards
from local_aws.quicksight.formats import title
from local_aws.quicksight.queries import bounds, choices, rows, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_aws.quicksight.definition import Definition, Filter, Visual

Record = dict[str, Any]
PREFIX = "/_quicksight/"
SCRIPT = "plotly.min.js"


class RefusedError(Exception):
    """The page is not shown: HTTP status and one sentence."""


class Pages(Dashboards):
    """The page of the published version, for readers who came with the code of an embed URL and may
    query the dashboard.
    """

    def page(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request below /_quicksight/ (WSGI)."""
        name, _, what = environ["PATH_INFO"].removeprefix(PREFIX).partition("/")
        asked = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
        try:
            status, kind, body = self._answer_page(name, what, asked)
        except RefusedError as refusal:
            status, text = refusal.args
            kind, body = (
                "text/html; charset=utf-8",
                _template("refused.html").render(text=text).encode(),
            )
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        headers.append(("Cache-Control", "max-age=86400" if name == SCRIPT else "no-store"))
        headers.append(
            ("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data: blob:")
        )
        start_response(status, headers)
        return [body]

    def _answer_page(self, name: str, what: str, asked: dict[str, str]) -> tuple[str, str, bytes]:
        if name == SCRIPT:
            return (
                "200 OK",
                "text/javascript",
                (files("plotly") / "package_data" / SCRIPT).read_bytes(),
            )
        version = self._version_for(name, asked.get("code", ""))
        shown = Shown(self, name, version)
        if what == "data":
            chosen = json.loads(asked.get("filters") or "{}")
            return (
                "200 OK",
                "application/json",
                json.dumps(shown.figures(asked["sheet"], chosen), default=str).encode(),
            )
        reader = self.users[self.codes[asked["code"]]["user"]]["Email"]
        page = _template("dashboard.html").render(board=shown.board(), script=SCRIPT, reader=reader)
        return "200 OK", "text/html; charset=utf-8", page.encode()

    def _version_for(self, name: str, code: str) -> Record:
        """The published version; raises RefusedError."""
        session = self.codes.get(code)
        if not session or session["dashboard"] != name or session["until"] < time.monotonic():
            raise RefusedError(
                "403 Forbidden",
                "This address is not valid, or not any more: ask for a new one with"
                " GenerateEmbedUrlForRegisteredUser.",
            )
        record, user = self.dashboards.get(name), self.users.get(session["user"])
        if not record or not user:
            raise RefusedError(
                "404 Not Found", "The dashboard or its reader is not there any more."
            )
        if not self.may(user, "quicksight:QueryDashboard", record["Arn"]):
            raise RefusedError(
                "403 Forbidden",
                f"{user['UserName']} has no permission to see the dashboard {record['Name']}.",
            )
        version: Record = record["versions"][record["published"]]
        if not version["Status"].endswith("_SUCCESSFUL"):
            raise RefusedError(
                "409 Conflict", f"The published version of {record['Name']} is {version['Status']}."
            )
        return version


class Shown:
    """One version of a dashboard over the rows that are in SPICE now."""

    def __init__(self, service: Dashboards, name: str, version: Record) -> None:
        self.service, self.name, self.version = service, name, version
        self.definition: Definition = service.definition(version["definition"])

    def board(self) -> Record:
        """What the page is built from: sheets with their visuals, controls and places."""
        sheets = [self._sheet(each) for each in self.definition.sheets]
        return {
            "name": self.version["name"],
            "id": self.name,
            "sheets": sheets,
            "rows_of": self._oldest_rows(),
        }

    def _oldest_rows(self) -> str:
        """When the rows were ingested that are the oldest on the page."""
        found = [
            self._file(each["Identifier"])
            for each in self.definition.declared["DataSetIdentifierDeclarations"]
        ]
        times = [
            datetime.datetime.fromtimestamp(each.stat().st_mtime, datetime.UTC)
            for each in found
            if each
        ]
        return f"{min(times):%Y-%m-%d %H:%M} UTC" if times else ""

    def _sheet(self, sheet: Record) -> Record:
        places = {each["ElementId"]: each for each in _elements(sheet.get("Layouts"))}
        visuals = [
            {
                "id": each.id,
                "kind": each.kind,
                "title": title(each.declared),
                "subtitle": title(each.declared, "Subtitle"),
                "place": places.get(each.id),
            }
            for each in self.definition.visuals(sheet)
        ]
        order = {
            each["ElementId"]: place
            for place, each in enumerate(_elements(sheet.get("SheetControlLayouts")))
        }
        controls = [
            self._control(*next(iter(each.items()))) for each in sheet.get("FilterControls") or []
        ]
        controls.sort(key=lambda each: order.get(each["id"], len(order)))
        named = {
            "id": sheet["SheetId"],
            "name": sheet.get("Name") or "Sheet",
            "title": sheet.get("Title", ""),
        }
        return {
            **named,
            "description": sheet.get("Description", ""),
            "visuals": visuals,
            "controls": controls,
        }

    def _control(self, kind: str, settings: Record) -> Record:
        source = next(
            each for each in self.definition.filters if each.id == settings["SourceFilterId"]
        )
        if kind == "CrossSheet":
            kind, shared = source.default_control
            settings = {**shared, **settings}
        control = {
            "id": settings["FilterControlId"],
            "kind": kind,
            "type": settings.get("Type", ""),
            "filter": source.id,
        }
        control["title"] = settings.get("Title") or source.column
        file = self._file(source.data_set)
        if kind in ("Dropdown", "List"):
            given = ((settings.get("SelectableValues") or {}).get("Values")) or (
                choices(self.definition, source, file) if file else []
            )
            control |= {"values": given, "chosen": _preset(source)}
        elif kind == "DateTimePicker":
            ends = zip(
                bounds(source),
                span(self.definition, source, file) if file else (None, None),
                strict=True,
            )
            least, most = (
                f"{settings or found:%Y-%m-%d}" if settings or found else ""
                for settings, found in ends
            )
            control |= {"least": least, "most": most}
        else:
            control |= {
                "least": settings["MinimumValue"],
                "most": settings["MaximumValue"],
                "step": settings["StepSize"],
            }
        return control

    def figures(self, sheet_id: str, chosen: Record) -> Record:
        """What each visual of a sheet shows, by its id."""
        sheet = next(each for each in self.definition.sheets if each["SheetId"] == sheet_id)
        return {each.id: self._figure(each, chosen) for each in self.definition.visuals(sheet)}

    def _figure(self, visual: Visual, chosen: Record) -> Record:
        file = self._file(visual.fields[0].data_set)
        if not file:
            return {"kind": "empty"}
        columns = self.definition.columns[visual.fields[0].data_set] or {}
        return figure(visual, rows(self.definition, visual, file, chosen), columns)

    def _file(self, data_set: str) -> Path | None:
        declared = self.definition.declared["DataSetIdentifierDeclarations"]
        arn = next(each["DataSetArn"] for each in declared if each["Identifier"] == data_set)
        record = self.service.record_of(arn)
        return self.service.files.get(record["DataSetId"]) if record else None


def _elements(layouts: list[Record] | None) -> list[Record]:
    return [
        each
        for layout in layouts or []
        for each in layout["Configuration"]["GridLayout"]["Elements"]
    ]


def _preset(source: Filter) -> list[str] | None:
    """The values that a list begins with; None for all."""
    if source.kind != "CategoryFilter":
        return None
    settings = next(iter(source.declared["Configuration"].values()))
    return None if settings.get("SelectAllOptions") else settings.get("CategoryValues") or None


def _template(name: str) -> jinja2.Template:
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True
    )
    return pages.get_template(name)
