"""What a model is worth, as pictures: what it finds, whether its probabilities can be believed, and
what it goes by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from lakebook.layers.models import Model

STRONGEST = 10  # features shown


def evaluations(chosen: list[Model]) -> None:
    """Show of each model ROC curve, calibration and importance, as the training job found them on
    rows the model never saw.
    """
    for each in chosen:
        _evaluation(each, each.evaluation())


def _evaluation(model: Model, found: dict[str, Any]) -> None:
    figure, (roc, calibration, importance) = plt.subplots(1, 3, figsize=(13, 3.8), dpi=110)
    figure.suptitle(
        f"{model.told['question']}   {found['rows']['validation']:,} rows never seen before",
        x=0.01,
        ha="left",
    )
    for axes in (roc, calibration, importance):
        axes.spines[["top", "right"]].set_visible(False)
    roc.plot(*zip(*found["roc"], strict=True), color="#2a6f97")
    roc.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    roc.set(
        xlabel="false alarms",
        ylabel="found",
        title=f"ROC curve: {found['auc']:.3f} (baseline {found['baseline_auc']:.3f})",
    )
    calibration.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    calibration.plot(
        *([each[name] for each in found["calibration"]] for name in ("predicted", "observed")),
        "o-",
        color="#2a6f97",
    )
    top = (
        max(each[name] for each in found["calibration"] for name in ("predicted", "observed")) * 1.1
    )
    calibration.set(
        xlabel="predicted",
        ylabel="observed",
        title="Calibration, tenths of the rows",
        xlim=(0, top),
        ylim=(0, top),
    )
    strongest = sorted(found["importance"].items(), key=lambda each: each[1])[-STRONGEST:]
    importance.barh(*zip(*strongest, strict=True), color="#2a6f97")
    importance.set(title="What it loses without", xlabel="area under the ROC curve")
    figure.tight_layout()
    plt.show()
