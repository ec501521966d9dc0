"""The report of a run: one self-contained page for people, made from the evidence alone, and the
executed copies as pages beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jinja2

from lakebook import sources
from lakebook.evidence import RECORD
from lakebook.runner import evidence_pack

if TYPE_CHECKING:
    from pathlib import Path

    from lakebook.runner.run import PhaseRun, Run

LOSS = "known loss"
MISMATCH = "MISMATCH"
COLUMNS = ("phase", "status", "seconds", "calls", "checks", "rows reconciled", "known losses")


@dataclass(frozen=True)
class Facts:
    """What one phase recorded, counted."""

    phase: PhaseRun
    records: list[dict[str, Any]]
    mode: str

    @property
    def checks(self) -> list[dict[str, Any]]:
        """`[{"fact", "expected", "measured", "ok"}]`."""
        return self._of_kind("check")

    @property
    def gates(self) -> list[dict[str, Any]]:
        """`[{"name": "raw = source", "ok": True, "tables": [{"table", "expected", "measured",
        "status", "detail"}]}]`.
        """
        return self._of_kind("reconciliation")

    @property
    def results(self) -> list[dict[str, Any]]:
        """What the phase was for, in people's words: `[{"name": "score of flight_delay", "value":
        "auc 0.685, …"}]`.
        """
        return self._of_kind("result")

    @property
    def tables(self) -> list[dict[str, Any]]:
        """One line per table and gate."""
        return [table for gate in self.gates for table in gate["tables"]]

    @property
    def losses(self) -> list[dict[str, Any]]:
        """The known losses of the source in which rows are affected."""
        named = [
            row
            for each in self._of_kind("table")
            if each["name"] == "known losses"
            for row in each["rows"]
        ]
        return [row for row in named if row.get("rows_affected") != 0]

    @property
    def calls(self) -> list[str]:
        """The actions of the changing calls: made, or in a plan still needed."""
        if self.mode == "apply":
            return [each["action"] for each in self._of_kind("call")]
        return [
            row["call"]
            for each in self._of_kind("table")
            if each["name"] == "plan"
            for row in each["rows"]
        ]

    @property
    def held(self) -> int:
        """How many checks held."""
        return sum(bool(each["ok"]) for each in self.checks)

    @property
    def rows(self) -> int:
        """Rows measured in tables that are as they should be."""
        return sum(each["measured"] or 0 for each in self.tables if each["status"] != MISMATCH)

    @property
    def loss_count(self) -> int:
        """Known losses named here, or expected by a comparison; of evidence that does not say, the
        tables that arrived with one.
        """
        expected = sum(each.get("losses", 0) for each in self.gates)
        with_one = sum(each["status"] == LOSS for each in self.tables)
        return len(self.losses) or expected or with_one

    def _of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.records if each["kind"] == kind]


def facts(run: Run) -> list[Facts]:
    """What each phase recorded in its executed copy, earlier attempts' calls included."""
    found = []
    for phase in run.phases:
        recorded = evidence_pack.records(run.folder / phase.copy)
        for attempt in attempts(run, phase):
            recorded += [each for each in evidence_pack.records(attempt) if each["kind"] == "call"]
        found.append(Facts(phase, recorded, run.mode))
    return found


def attempts(run: Run, phase: PhaseRun) -> list[Path]:
    """The executed copies of the phase that failed before the run was resumed."""
    return sorted(run.folder.glob(f"{phase.copy.removesuffix('.ipynb')}.attempt-*.ipynb"))


def summary(run: Run) -> str:
    """A table in plain text, one line per phase, and the run's results below it."""
    found = facts(run)
    lines = [COLUMNS] + [
        (
            f"{each.phase.number} {each.phase.name} {each.phase.source or ''}".rstrip(),
            each.phase.status,
            f"{each.phase.seconds:.1f}",
            f"{len(each.calls)}",
            f"{each.held}/{len(each.checks)}",
            f"{each.rows:,}" if each.gates else "-",
            f"{each.loss_count}",
        )
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [line[:2] for line in lines]
    rows = [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  "
        + "  ".join(f"{x:>{w}}" for x, w in zip(line[2:], widths[2:], strict=True))
        for (a, b), line in zip(texts, lines, strict=True)
    ]
    results = [f"{each['name']}: {each['value']}" for phase in found for each in phase.results]
    return "\n".join([*rows, *([""] if results else []), *results])


def write(run: Run) -> Path:
    """Write report.html and a page per executed copy into the run's folder; the report's path.

    Both are derived from the sealed files and are not sealed themselves: they may be written again
    at any time, and `altered` compares them.
    """
    for copy in sorted(run.folder.glob("*.ipynb")):
        write_page(copy)
    page = run.folder / "report.html"
    page.write_text(_report(run), encoding="utf-8")
    return page


def altered(run: Run) -> list[str]:
    """The pages of a run's folder that are not what its sealed files give, each as a sentence."""
    wanted = {"report.html": partial(_report, run)}
    for copy in run.folder.glob("*.ipynb"):
        wanted[copy.with_suffix(".html").name] = partial(_page, copy)
    return [
        f"{page.name} is not what the sealed files give: it was altered, or another version of"
        " lakebook wrote it; `lakebook report` writes it anew."
        for page in sorted(run.folder.glob("*.html"))
        if page.name not in wanted or page.read_text(encoding="utf-8") != wanted[page.name]()
    ]


def _report(run: Run) -> str:
    found = facts(run)
    return str(
        _templates()
        .get_template("report.html")
        .render(
            run=run,
            facts=found,
            verdict=verdict(run, found),
            services=Counter(
                action.partition(":")[0] for each in found for action in each.calls
            ).most_common(),
            attempts={
                each.copy: [copy.with_suffix(".html").name for copy in attempts(run, each)]
                for each in run.phases
            },
            pages={copy.with_suffix(".ipynb").name for copy in run.folder.glob("*.html")},
            ledger=[
                json.loads(line) for line in _read(run.folder / evidence_pack.LEDGER).splitlines()
            ],
            problems=evidence_pack.problems(run.folder),
            seal=evidence_pack.sealed(run.folder),
        )
    )


def verdict(run: Run, found: list[Facts]) -> tuple[str, str, str]:
    """The result in one word for the style (good, bad, waiting), in a headline, and in a
    sentence.
    """
    stopped = next((each for each in run.phases if each.status in ("failed", "interrupted")), None)
    if run.status == "succeeded" and run.mode == "plan":
        return (
            "good",
            "Planned",
            f"{sum(len(each.calls) for each in found):,} calls are still needed; none was made.",
        )
    if run.status == "succeeded":
        held, tables = (
            sum(each.held for each in found),
            [table for each in found for table in each.tables],
        )
        losses = sum(table["status"] == LOSS for table in tables)
        if not held and not tables:
            return "good", "Done", "The phases ran to their end; they had nothing to check."
        loss = f", {losses:,} of them with a known loss" if losses else ""
        return (
            "good",
            "Every check held",
            f"{held:,} checks, {len(tables):,} tables compared with the layer before{loss}.",
        )
    if run.status == "failed" and stopped:
        told = " ".join(filter(None, (stopped.error, left_out(run))))
        return "bad", f"Failed in phase {stopped.label}", told
    if run.status == "running":
        return "waiting", "Not finished", "The run is still going on, or was ended without a word."
    return (
        "waiting",
        f"Interrupted{f' in phase {stopped.number}' if stopped else ''}",
        "`lakebook resume` goes on with it.",
    )


def left_out(run: Run) -> str:
    """One sentence on the sources that failed while others went on; empty where there are none."""
    names = run.sources_left_out
    if not names or set(names) == set(run.sources):
        return ""
    which = f"source{'s' if len(names) > 1 else ''} {', '.join(map(sources.shown, names))}"
    return (
        f"The {which} failed and the others went on: the lake has of it what was verified before."
    )


def write_page(copy: Path) -> None:
    """Write an executed copy as a page beside it, without scripts or anything from elsewhere,
    unless that is done.
    """
    page = copy.with_suffix(".html")
    if page.exists() and page.stat().st_mtime >= copy.stat().st_mtime:
        return
    page.write_text(_page(copy), encoding="utf-8")


def _page(copy: Path) -> str:
    import nbformat  # noqa: PLC0415 - slow to import

    notebook = nbformat.read(copy, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if "outputs" in cell:  # what only programs read
            cell.outputs = [each for each in cell.outputs if RECORD not in each.get("data", {})]
    body, _ = _exporter().from_notebook_node(notebook)
    template = _templates().get_template("executed_copy.html")
    return str(template.render(name=copy.name, body=body))


@cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter  # noqa: PLC0415 - slow to import

    return HTMLExporter(template_name="basic", exclude_anchor_links=True)  # type: ignore[no-untyped-call]


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lakebook.runner", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["shown"] = lambda value: (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )
    return environment


def duration(seconds: float) -> str:
    """`1 h 02 min`, `3 min 05 s` or `4.2 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
    )


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
