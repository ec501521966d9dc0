"""The chance that the answer is yes: boosted trees in Amazon SageMaker's scikit-learn container, trained by script mode.

Rows are Parquet: a key, features (texts are categories, all else numbers), and in the training channels the label, 0 or 1.
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

PARQUET = "application/x-parquet"
CATEGORIES = 255  # that the trees tell apart in one column; rarer ones count as one
BINS = 10  # of the calibration
IMPORTANCE_ROWS = 5000
SMOOTHING = 20  # rows by which a rare group of the baseline is drawn to the mean


def channel(folder: str) -> pd.DataFrame:
    """All rows of a channel: its files one after the other."""
    files = sorted(each for each in Path(folder).rglob("*") if each.is_file())
    if not files:
        raise ValueError(f"The channel {folder} has no files.")
    return pd.concat([pd.read_parquet(each) for each in files], ignore_index=True)


def untrained(rows: pd.DataFrame, features: list[str], iterations: int, learning_rate: float) -> Pipeline:
    """Gradient boosted trees for these columns; categories not seen in training count as missing, as do columns without a value."""
    known = [each for each in features if rows[each].notna().any()]
    categories = [each for each in known if not pd.api.types.is_numeric_dtype(rows[each])]
    numbers = [each for each in known if each not in categories]
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=CATEGORIES,
    )
    trees = HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=learning_rate,
        categorical_features=list(range(len(categories))),
        early_stopping=False,
        random_state=0,
    )
    columns = [("categories", encoder, categories), ("numbers", "passthrough", numbers)]
    return Pipeline([("columns", ColumnTransformer(columns)), ("trees", trees)])


def evaluated(model: dict[str, Any], train: pd.DataFrame, validation: pd.DataFrame, by: list[str]) -> dict[str, Any]:
    """How good the model is on rows it never saw, beside a baseline: the share of yes in each group of a few columns."""
    answer, score = validation[model["label"]], probability(model, validation)
    base = baseline(train, validation, model["label"], by)
    rate, found, _ = roc_curve(answer, score)
    every = max(1, len(rate) // 200)
    return {
        "rows": {"train": len(train), "validation": len(validation)},
        "auc": roc_auc_score(answer, score),
        "log_loss": log_loss(answer, score),
        "baseline_auc": roc_auc_score(answer, base),
        "baseline_log_loss": log_loss(answer, base),
        "roc": [[float(x), float(y)] for x, y in zip(rate[::every], found[::every], strict=True)] + [[1.0, 1.0]],
        "calibration": calibration(answer.to_numpy(), score),
        "importance": importance(model, validation),
    }


def probability(model: dict[str, Any], rows: pd.DataFrame) -> np.ndarray:
    """The chance of yes for each row."""
    return np.asarray(model["pipeline"].predict_proba(rows[model["features"]])[:, 1])


def baseline(train: pd.DataFrame, validation: pd.DataFrame, label: str, by: list[str]) -> np.ndarray:
    """What a table of shares would say: yes by group in training, drawn to the mean where a group is small."""
    mean = train[label].mean()
    counted = train.groupby(by)[label].agg(["sum", "count"])
    share = ((counted["sum"] + SMOOTHING * mean) / (counted["count"] + SMOOTHING)).rename("share").reset_index()
    return np.asarray(validation[by].merge(share, on=by, how="left")["share"].fillna(mean))


def calibration(answer: np.ndarray, score: np.ndarray) -> list[dict[str, float]]:
    """Of rows with about the same probability, how many were yes: predicted, observed, rows; in tenths of the rows."""
    parts = np.array_split(np.argsort(score, kind="stable"), BINS)
    return [
        {"predicted": float(score[each].mean()), "observed": float(answer[each].mean()), "rows": len(each)}
        for each in parts
        if len(each)
    ]


def importance(model: dict[str, Any], validation: pd.DataFrame) -> dict[str, float]:
    """How much the area under the ROC curve falls when a feature's values are shuffled."""
    few, features = validation.sample(min(len(validation), IMPORTANCE_ROWS), random_state=0), model["features"]
    found = permutation_importance(
        model["pipeline"], few[features], few[model["label"]], scoring="roc_auc", n_repeats=2, random_state=0
    )
    return dict(zip(features, found.importances_mean.tolist(), strict=True))


def main() -> None:
    """Train, print the metrics as the job's metric definitions find them, and write model and evaluation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--key", required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--baseline", required=True, help="columns by which the baseline groups, with commas between")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    told = parser.parse_args()
    train, validation = channel(os.environ["SM_CHANNEL_TRAIN"]), channel(os.environ["SM_CHANNEL_VALIDATION"])
    features = [each for each in train.columns if each not in (told.key, told.label)]
    pipeline = untrained(train, features, told.iterations, told.learning_rate).fit(train[features], train[told.label])
    model = {"pipeline": pipeline, "features": features, "key": told.key, "label": told.label}
    measured = evaluated(model, train, validation, told.baseline.split(","))
    for name in ("auc", "log_loss", "baseline_auc", "baseline_log_loss"):
        print(f"{name}={measured[name]:.6f};", flush=True)
    joblib.dump(model, Path(os.environ["SM_MODEL_DIR"]) / "model.joblib")
    (Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "evaluation.json").write_text(json.dumps(measured))


def model_fn(model_dir: str) -> dict[str, Any]:
    """The model, for the container's server."""
    return dict(joblib.load(Path(model_dir) / "model.joblib"))


def input_fn(body: bytes, content_type: str) -> pd.DataFrame:
    """The rows of one request: a whole Parquet file."""
    if content_type.partition(";")[0] != PARQUET:
        raise ValueError(f"This model takes {PARQUET}, not {content_type}.")
    return pd.read_parquet(io.BytesIO(body))


def predict_fn(rows: pd.DataFrame, model: dict[str, Any]) -> pd.DataFrame:
    """The key of each row, and the probability of yes."""
    return pd.DataFrame({model["key"]: rows[model["key"]], "probability": probability(model, rows)})


def output_fn(predicted: pd.DataFrame, accept: str) -> tuple[bytes, str]:
    """The answers as a Parquet file."""
    return predicted.to_parquet(index=False), accept


if __name__ == "__main__":
    main()
