"""The evidence of a run: the records in its executed copies, the ledger of calls, and a seal that
shows any later change.

`seal.jsonl` has one line per sealing: the SHA-256 of every file of the run, and of the line before.
What can be derived again from these files (report.html, the copies as HTML) is not part of it:
`lakebook verify` derives it anew and compares.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from lakebook.evidence import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SEAL = "seal.jsonl"
LEDGER = "ledger.jsonl"
DERIVED = ".html"


def records(copy: Path) -> list[dict[str, Any]]:
    """What the notebook recorded, in order: `[{"kind": "check", "time": 1793000000.1, "fact": …},
    …]`; none of a missing copy.
    """
    if not copy.exists():
        return []
    cells = json.loads(copy.read_text(encoding="utf-8"))["cells"]
    outputs = [each.get("data", {}) for cell in cells for each in cell.get("outputs", [])]
    return [each[RECORD] for each in outputs if RECORD in each]


def write_ledger(folder: Path) -> None:
    """One line per changing AWS call made, from all executed copies, in the order of time."""
    calls = [
        {
            "time": utc(each["time"]),
            "phase": copy.name[:2],
            "resource": each["resource"],
            "action": each["action"],
        }
        for copy in folder.glob("*.ipynb")
        for each in records(copy)
        if each["kind"] == "call"
    ]
    lines = [
        json.dumps(each, ensure_ascii=False) + "\n"
        for each in sorted(calls, key=lambda each: each["time"])
    ]
    (folder / LEDGER).write_text("".join(lines), encoding="utf-8")


def seal(folder: Path) -> str:
    """Seal the run's files as they are now, on top of the earlier seals; the SHA-256 to note down
    elsewhere.
    """
    line, digest = _line(
        {"time": utc(time.time()), "files": _digests(folder), "previous": sealed(folder)}
    )
    with (folder / SEAL).open("ab") as file:
        file.write(line)
    return digest


def sealed(folder: Path) -> str:
    """The SHA-256 of the last seal, which covers all before it; empty where nothing was sealed or
    the seal is broken.
    """
    entries = _entries(folder)
    return _line(entries[-1])[1] if entries else ""


def problems(folder: Path, only: Iterable[str] | None = None) -> list[str]:
    """What is not as it was sealed, each as a sentence; empty when the evidence is whole. `only`
    looks at these files alone.
    """
    entries = _entries(folder)
    if entries is None:
        return [f"{SEAL} changed: it is not what was written when the run was sealed."]
    if not entries:
        return [f"{SEAL} is missing: this run was never sealed."]
    found, files, now = [], entries[-1]["files"], _digests(folder)
    for name in sorted({*files, *now} if only is None else only):
        if name not in files:
            found.append(f"{name} is extra: it was not there when the run was sealed.")
        elif name not in now:
            found.append(f"{name} is missing.")
        elif files[name] != now[name]:
            found.append(f"{name} changed since it was sealed.")
    return found


def utc(seconds: float) -> str:
    """`2026-11-23T10:15:00.123Z` from seconds since 1970."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(entry: dict[str, Any]) -> tuple[bytes, str]:
    """The line of seal.jsonl for an entry, and its SHA-256, which the line carries too."""
    digest = _sha256(json.dumps(entry, sort_keys=True).encode())
    return json.dumps({**entry, "sha256": digest}, sort_keys=True).encode() + b"\n", digest


def _entries(folder: Path) -> list[dict[str, Any]] | None:
    """The sealings, oldest first; None where any byte of seal.jsonl is not as we write it."""
    file, entries, previous = folder / SEAL, [], ""
    for line in file.read_bytes().splitlines(keepends=True) if file.exists() else []:
        try:
            entry = json.loads(line)
            digest = entry.pop("sha256")
            whole = entry["previous"] == previous and _line(entry) == (line, digest)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if not whole:
            return None
        previous = digest
        entries.append(entry)
    return entries


def _digests(folder: Path) -> dict[str, str]:
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() or each.is_symlink()]
    kept = [each for each in files if each.name != SEAL and each.suffix != DERIVED]
    return {each.relative_to(folder).as_posix(): _sha256(each.read_bytes()) for each in kept}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
