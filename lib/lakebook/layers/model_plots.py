"""The evaluation of a model as plots: ROC curve, calibration, permutation importance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from lakebook.layers.models import Model

STRONGEST = 10  # features shown


def evaluations(chosen: list[Model]) -> None:
    """Show the three plots of each model, as the training job measured them on validation rows."""
    for each in chosen:
        _evaluation(each, each.evaluation())


def _evaluation(model: Model, found: dict[str, Any]) -> None:
    figure, (roc, calibration, importance) = plt.subplots(1, 3, figsize=(13, 3.8), dpi=110)
    figure.suptitle(
        f"{model.declared['question']}   {found['rows']['validation']:,} validation rows",
        x=0.01,
        ha="left",
    )
    for axes in (roc, calibration, importance):
        axes.spines[["top", "right"]].set_visible(False)
    roc.plot(*zip(*found["roc"], strict=True), color="#2a6f97")
    roc.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    roc.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
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
        title="Calibration, by deciles of the rows",
        xlim=(0, top),
        ylim=(0, top),
    )
    strongest = sorted(found["importance"].items(), key=lambda each: each[1])[-STRONGEST:]
    importance.barh(*zip(*strongest, strict=True), color="#2a6f97")
    importance.set(title="Permutation importance", xlabel="loss of area under the ROC curve")
    figure.tight_layout()
    plt.show()
