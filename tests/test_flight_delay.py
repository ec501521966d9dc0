"""The training script of the flight delay model, as plain Python."""

import io
import json
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
from lakebook.jobs import train_flight_delay as script

ROWS = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two channels in which late flights leave in the evening and from one airport."""
    chance, made = np.random.default_rng(1), tmp_path_factory.mktemp("channels")
    for name in ("train", "validation"):
        lines = []
        for number in range(ROWS):
            hour, origin = int(chance.integers(5, 23)), chance.choice(["EWR", "JFK"])
            late = int(chance.random() < (0.8 if hour > 16 and origin == "EWR" else 0.1))
            weather = ",".join(f"{each:.1f}" for each in chance.random(6))
            lines.append(f"{number},UA,{origin},LAX,{hour},{number % 7},1,2475,10,150,{weather},{late}")
        (made / name).mkdir()
        (made / name / "rows.csv").write_text("\n".join(lines) + "\n")
    return made


@pytest.fixture(scope="module")
def trained(folder):
    """The evaluation and the model's folder after a run of the script as the training toolkit runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("train", "validation"):
            patch.setenv(f"SM_CHANNEL_{name.upper()}", str(folder / name))
        patch.setenv("SM_MODEL_DIR", str(folder))
        patch.setenv("SM_OUTPUT_DATA_DIR", str(folder))
        patch.setattr(sys, "argv", ["train_flight_delay.py", "--iterations", "20"])
        script.main()
    return json.loads((folder / "evaluation.json").read_text())


def test_no_feature_is_known_only_after_the_question():
    assert [
        *("carrier", "origin", "destination", "hour", "weekday", "month", "distance", "plane_age", "seats"),
        *("temperature", "humidity", "wind_speed", "precipitation", "pressure", "visibility"),
    ] == script.FEATURES


def test_the_model_finds_what_carrier_and_hour_alone_do_not_tell(trained):
    assert trained["auc"] > trained["baseline_auc"] + 0.02
    assert trained["log_loss"] < trained["baseline_log_loss"]
    assert max(trained["importance"], key=trained["importance"].get) in ("hour", "origin")


def test_the_calibration_counts_every_row_once(trained):
    assert sum(each["rows"] for each in trained["calibration"]) == ROWS == trained["rows"]["validation"]


def test_the_server_answers_every_row_under_its_own_key(folder, trained):  # the model is trained by then
    assert trained
    rows = "9,UA,EWR,LAX,20,1,1,2475,10,150,.5,.5,.5,.5,.5,.5\n7,XX,ZZZ,QQQ,6,1,1,2475,,,,,,,,\n"
    model, read = script.model_fn(str(folder)), script.input_fn(rows, "text/csv")
    text, kind = script.output_fn(script.predict_fn(read, model), "text/csv")
    told = [line.split(",") for line in io.StringIO(text).read().split("\n")]
    assert kind == "text/csv"
    assert [each[0] for each in told] == ["9", "7"]
    assert float(told[0][1]) > 0.4 > float(told[1][1])


def test_what_is_not_csv_is_refused():
    with pytest.raises(ValueError, match="text/csv"):
        script.input_fn("{}", "application/json")
