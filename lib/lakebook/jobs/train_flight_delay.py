"""A model of late arrivals, in Amazon SageMaker's scikit-learn container: trained by script mode, asked by batch transform.

Rows are CSV without a header: flight_id, then FEATURES; training channels have the label `late` (0 or 1) as last column.
https://sagemaker.readthedocs.io/en/stable/frameworks/sklearn/using_sklearn.html
"""

from __future__ import annotations

import argparse
import io
import json
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss, roc_auc_score, roc_curve
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

KEY, LABEL = "flight_id", "late"
CATEGORIES = ["carrier", "origin", "destination"]
# Everything here is known three hours before the planned departure; the delay of the flight itself never is.
NUMBERS = [
    "hour",
    "weekday",
    "month",
    "distance",
    "plane_age",
    "seats",
    "temperature",
    "humidity",
    "wind_speed",
    "precipitation",
    "pressure",
    "visibility",
]
FEATURES = CATEGORIES + NUMBERS
BINS = 10  # of the calibration
IMPORTANCE_ROWS = 5000


def read(source: Any, *, labelled: bool) -> pd.DataFrame:
    """Rows of one CSV file or text, with their columns named."""
    columns = [KEY, *FEATURES, *([LABEL] if labelled else [])]
    return pd.read_csv(source, header=None, names=columns, dtype=dict.fromkeys(CATEGORIES, str), keep_default_na=False, na_values=[""])  # fmt: skip


def channel(folder: str) -> pd.DataFrame:
    """All rows of a channel: its files one after the other."""
    files = sorted(each for each in Path(folder).rglob("*") if each.is_file())
    if not files:
        raise ValueError(f"The channel {folder} has no files.")
    return pd.concat([read(each, labelled=True) for each in files], ignore_index=True)


def untrained(iterations: int, learning_rate: float) -> Pipeline:
    """Gradient boosted trees; categories not seen in training count as missing."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns = ColumnTransformer([("categories", encoder, CATEGORIES), ("numbers", "passthrough", NUMBERS)])
    trees = HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=learning_rate,
        categorical_features=list(range(len(CATEGORIES))),
        early_stopping=False,
        random_state=0,
    )
    return Pipeline([("columns", columns), ("trees", trees)])


def evaluated(model: Pipeline, train: pd.DataFrame, validation: pd.DataFrame) -> dict[str, Any]:
    """How good the model is on rows it never saw, beside a baseline: the share of late flights of each carrier and hour."""
    late, score = validation[LABEL], model.predict_proba(validation[FEATURES])[:, 1]
    base = baseline(train, validation)
    rate, found, _ = roc_curve(late, score)
    every = max(1, len(rate) // 200)
    return {
        "rows": {"train": len(train), "validation": len(validation)},
        "auc": roc_auc_score(late, score),
        "log_loss": log_loss(late, score),
        "baseline_auc": roc_auc_score(late, base),
        "baseline_log_loss": log_loss(late, base),
        "roc": [[float(x), float(y)] for x, y in zip(rate[::every], found[::every])] + [[1.0, 1.0]],  # noqa: B905 - the container's Python may have no strict
        "calibration": calibration(late.to_numpy(), score),
        "importance": importance(model, validation),
    }


def baseline(train: pd.DataFrame, validation: pd.DataFrame) -> np.ndarray:
    """What a timetable would say: the training months' share of late flights by carrier and hour, drawn to the mean where few flew."""
    mean, by = train[LABEL].mean(), ["carrier", "hour"]
    counted = train.groupby(by)[LABEL].agg(["sum", "count"])
    share = ((counted["sum"] + 20 * mean) / (counted["count"] + 20)).rename("share").reset_index()
    return np.asarray(validation[by].merge(share, on=by, how="left")["share"].fillna(mean))


def calibration(late: np.ndarray, score: np.ndarray) -> list[dict[str, float]]:
    """Of flights with about the same probability, how many were late: predicted, observed, rows; in tenths of the rows."""
    parts = np.array_split(np.argsort(score, kind="stable"), BINS)
    return [{"predicted": float(score[each].mean()), "observed": float(late[each].mean()), "rows": len(each)} for each in parts if len(each)]  # fmt: skip


def importance(model: Pipeline, validation: pd.DataFrame) -> dict[str, float]:
    """How much the area under the ROC curve falls when a feature's values are shuffled."""
    few = validation.sample(min(len(validation), IMPORTANCE_ROWS), random_state=0)
    found = permutation_importance(model, few[FEATURES], few[LABEL], scoring="roc_auc", n_repeats=2, random_state=0)
    return dict(zip(FEATURES, found.importances_mean.tolist()))  # noqa: B905 - as above


def main() -> None:
    """Train, print the metrics as the job's metric definitions find them, and write model and evaluation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    told = parser.parse_args()
    train, validation = channel(os.environ["SM_CHANNEL_TRAIN"]), channel(os.environ["SM_CHANNEL_VALIDATION"])
    model = untrained(told.iterations, told.learning_rate).fit(train[FEATURES], train[LABEL])
    measured = evaluated(model, train, validation)
    for name in ("auc", "log_loss", "baseline_auc", "baseline_log_loss"):
        print(f"{name}={measured[name]:.6f};", flush=True)
    joblib.dump(model, Path(os.environ["SM_MODEL_DIR"]) / "model.joblib")
    (Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "evaluation.json").write_text(json.dumps(measured))


def model_fn(model_dir: str) -> Pipeline:
    """The model, for the container's server."""
    return joblib.load(Path(model_dir) / "model.joblib")


def input_fn(body: str | bytes, content_type: str) -> pd.DataFrame:
    """The rows of one request."""
    if content_type.partition(";")[0] != "text/csv":
        raise ValueError(f"This model takes text/csv, not {content_type}.")
    return read(io.StringIO(body if isinstance(body, str) else body.decode()), labelled=False)


def predict_fn(rows: pd.DataFrame, model: Pipeline) -> pd.DataFrame:
    """flight_id and the probability of arriving late."""
    return pd.DataFrame({KEY: rows[KEY], "probability": model.predict_proba(rows[FEATURES])[:, 1]})


def output_fn(predicted: pd.DataFrame, accept: str) -> tuple[str, str]:
    """CSV without a header; the last line has no end, as batch transform adds one."""
    return predicted.to_csv(header=False, index=False, float_format="%.6f").rstrip("\n"), accept


if __name__ == "__main__":
    main()
