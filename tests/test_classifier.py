"""The training script of the repository's models, as plain Python."""

import importlib.util
import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[1]
ROWS = 600


@pytest.fixture(scope="module")
def script():
    """The script as a module; making it takes a second, as it imports scikit-learn."""
    spec = importlib.util.spec_from_file_location("classifier", ROOT / "models" / "classifier.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two channels in which late flights leave in the evening and from one airport; of one number
    nothing is known.
    """
    chance, made = np.random.default_rng(1), tmp_path_factory.mktemp("channels")
    for name in ("train", "validation"):
        rows = pd.DataFrame(
            {
                "flight_id": range(ROWS),
                "hour": chance.integers(5, 23, ROWS),
                "wind": chance.random(ROWS),
            }
        )
        rows["origin"], rows["carrier"], rows["seats"] = (
            chance.choice(["EWR", "JFK"], ROWS),
            "UA",
            np.nan,
        )
        likely = (rows["hour"] > 16) & (rows["origin"] == "EWR")
        rows["late"] = (chance.random(ROWS) < np.where(likely, 0.8, 0.1)).astype(int)
        (made / name).mkdir()
        rows[: ROWS // 2].to_parquet(made / name / "first.parquet")
        rows[ROWS // 2 :].to_parquet(made / name / "second.parquet")
    return made


@pytest.fixture(scope="module")
def trained(folder, script):
    """The evaluation after a run of the script as the training toolkit runs it; the model is in the
    folder.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("train", "validation"):
            patch.setenv(f"SM_CHANNEL_{name.upper()}", str(folder / name))
        patch.setenv("SM_MODEL_DIR", str(folder))
        patch.setenv("SM_OUTPUT_DATA_DIR", str(folder))
        given = "--key flight_id --label late --baseline carrier,hour --iterations 20"
        patch.setattr(sys, "argv", ["classifier.py", *given.split()])
        script.main()
    return json.loads((folder / "evaluation.json").read_text())


def test_no_feature_of_the_delay_model_is_known_only_after_the_question():
    told = yaml.safe_load((ROOT / "models" / "flight_delay.yaml").read_text())
    assert told["features"] == [
        *("carrier", "origin", "destination", "hour", "weekday", "distance", "plane_age", "seats"),
        *("temperature", "humidity", "wind_speed", "precipitation", "pressure", "visibility"),
    ]
    before_label = told["query"].partition("CASE WHEN")[0]
    assert not any(
        each in before_label for each in ("delay", "actual", "arriv", "air_time", "cancel")
    )
    assert "departure_hour - interval '3' hour" in told["query"]


def test_the_model_finds_what_the_baseline_does_not_tell(trained):
    assert trained["auc"] > trained["baseline_auc"] + 0.02
    assert trained["log_loss"] < trained["baseline_log_loss"]
    assert max(trained["importance"], key=trained["importance"].get) in ("hour", "origin")


def test_key_and_label_are_no_features(trained):
    assert set(trained["importance"]) == {"hour", "wind", "origin", "carrier", "seats"}


def test_the_calibration_counts_every_row_once(trained):
    assert (
        sum(each["rows"] for each in trained["calibration"])
        == ROWS
        == trained["rows"]["validation"]
    )


# the model is trained by then
def test_the_server_answers_every_row_under_its_own_key(folder, script, trained):
    assert trained
    rows = pd.DataFrame(
        {
            "flight_id": [9, 7],
            "hour": [20, 6],
            "wind": [0.5, None],
            "origin": ["EWR", "ZZZ"],
            "carrier": ["UA", None],
            "seats": [None, None],
        }
    )
    model, read = (
        script.model_fn(str(folder)),
        script.input_fn(rows.to_parquet(index=False), script.PARQUET),
    )
    body, kind = script.output_fn(script.predict_fn(read, model), script.PARQUET)
    told = pd.read_parquet(io.BytesIO(body))
    assert kind == script.PARQUET
    assert told["flight_id"].tolist() == [9, 7]
    assert told["probability"][0] > 0.4 > told["probability"][1]


def test_what_is_not_parquet_is_refused(script):
    with pytest.raises(ValueError, match="takes application/x-parquet"):
        script.input_fn(b"{}", "application/json")


def test_a_channel_without_files_is_refused(script, tmp_path):
    with pytest.raises(ValueError, match="has no files"):
        script.channel(str(tmp_path))
