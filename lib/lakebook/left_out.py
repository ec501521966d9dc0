"""Tables that a run goes on without, where a parameter says so: named with the reason, and tried
again by the next run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from lakebook import evidence
from lakebook.errors import CheckError, LakebookError

CHOICES = ("stop", "exclude")


@dataclass
class LeftOut:
    """What is left out of one layer; `on_table_failure` is stop or exclude, or LakebookError is
    raised.
    """

    layer: str
    on_table_failure: str
    reasons: dict[str, str] = field(default_factory=dict)  # by the table's name for people

    def __post_init__(self) -> None:
        if self.on_table_failure not in CHOICES:
            raise LakebookError(
                f"on_table_failure says {self.on_table_failure!r}: write {' or '.join(CHOICES)}."
            )

    @property
    def goes_on(self) -> bool:
        """Whether a table that fails stops no other."""
        return self.on_table_failure == "exclude"

    def note(self, table: str, reason: str) -> None:
        """Leave a table out; raises CheckError where the run is to stop."""
        if not self.goes_on:
            raise CheckError(f"{table} is not in the {self.layer}: {reason}")
        print(f"--  {table} is left out of the {self.layer}: {reason}\n", end="", flush=True)
        self.reasons.setdefault(table, reason)

    def tell(self) -> pd.DataFrame:
        """The tables with their reasons, recorded; each is also a result of the run."""
        for table, reason in self.reasons.items():
            evidence.result(f"left out of the {self.layer}: {table}", reason)
        rows = [
            {"table": table, "missing in": self.layer, "reason": reason}
            for table, reason in self.reasons.items()
        ]
        frame = pd.DataFrame(rows, columns=["table", "missing in", "reason"])
        return evidence.table(frame, "tables left out") if rows else frame
