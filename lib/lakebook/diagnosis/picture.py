"""The path as one picture: a box a hop, green, red or grey, row by row."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from lakebook.diagnosis.answers import FAILED, NOT_APPLICABLE, NOT_CHECKED, NOT_YET, OK

if TYPE_CHECKING:
    from lakebook.diagnosis.answers import Hop

COLOURS = {
    OK: "#2e7d32",
    FAILED: "#c62828",
    NOT_YET: "#90a4ae",
    NOT_CHECKED: "#bdbdbd",
    NOT_APPLICABLE: "#e0e0e0",
}
MARKS = {OK: "✓", FAILED: "✗", NOT_YET: "…", NOT_CHECKED: "?", NOT_APPLICABLE: "-"}
TITLES = {
    "line": "Direct Connect",
    "VPC": "VPC",
    "access": "Access",
    "source": "Source",
    "account": "Account",
}
BOX_WIDTH, BOX_HEIGHT = 0.86, 0.6


def plot(hops: list[Hop]) -> Any:
    """The figure; a mark beside the colour says the verdict, too."""
    rows = {
        where: [each for each in hops if each.where == where]
        for where in dict.fromkeys(e.where for e in hops)
    }
    widest = max(map(len, rows.values()))
    figure, axes = plt.subplots(figsize=(1.45 * widest + 1, 1.05 * len(rows) + 0.4))
    for line, (where, members) in enumerate(rows.items()):
        axes.text(
            -0.6, -line, TITLES[where], ha="right", va="center", fontsize=10, fontweight="bold"
        )
        for column, hop in enumerate(members):
            _box(axes, column, -line, hop)
    axes.set(xlim=(-1.7, widest - 0.4), ylim=(-len(rows) + 0.5, 0.5))
    axes.axis("off")
    figure.tight_layout()
    return figure


def _box(axes: Any, x: float, y: float, hop: Hop) -> None:
    pale = hop.verdict in (NOT_APPLICABLE, NOT_CHECKED)
    axes.add_patch(
        Rectangle(
            (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2),
            BOX_WIDTH,
            BOX_HEIGHT,
            color=COLOURS[hop.verdict],
        )
    )
    text = f"{MARKS[hop.verdict]} " + "\n".join(textwrap.wrap(hop.hop, 13))
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color="black" if pale else "white")
    if x:
        start = (x - 1 + BOX_WIDTH / 2, y)
        axes.annotate(
            "", (x - BOX_WIDTH / 2, y), start, arrowprops={"arrowstyle": "->", "color": "#616161"}
        )
