"""08_sagemaker's declarations: a model trained on the lake, its answers proved and switched in, and
what stops it.
"""

import contextlib
import datetime
import io
import json
import urllib.error
import urllib.request

import boto3
import foundation
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from echoes import needed_otherwise

from lakebook import CheckError, LakebookError, calls, ensure, gates
from lakebook.layers import lake, models
from lakebook.services import athena, ec2, glue, kms, s3, sagemaker, vpc_endpoints
from lakebook.source import table_json
from lakebook.source.model import Column, LakeType, Table

NAMES = foundation.names("models")
IMAGE = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.9-0-cpu-py3"
ROWS = 400
TOLD = {
    "name": "rain",
    "question": "Will it rain?",
    "table": "sky.days",
    "key": "day_id",
    "split_at": "2020-10-01",
    "label": "wet",
    "features": ["pressure", "wind"],
    "query": (
        "SELECT d.day_id, d.day AS known_at, d.pressure, d.wind, CASE WHEN d.rain > 0 THEN 1 WHEN"
        " d.rain = 0 THEN 0 END AS wet FROM ${table.sky.days} d"
    ),
    "script": "models/classifier.py",
    "hyperparameters": {"iterations": 10, "baseline": "wind"},
    "metrics": ["auc", "baseline_auc"],
    "card": {"intended_uses": {"purpose_of_model": "To carry an umbrella or not."}},
}
COLUMNS = (
    Column("day_id", "day_id", "bigint", LakeType("int64"), nullable=False),
    Column("day", "day", "timestamp without time zone", LakeType("timestamp")),
    Column("pressure", "pressure", "double precision", LakeType("double")),
    Column("wind", "wind", "character varying(10)", LakeType("string", longest_bytes=40)),
    Column("rain", "rain", "integer", LakeType("int32")),
)
DAYS = Table("sky", "days", "sky_days", ROWS, False, 0, COLUMNS, ("day_id",))


@pytest.fixture(scope="module")
def place(stand_in):
    """What of the foundation a model needs, and one curated table with its proof; the operator at
    work.
    """
    parts = foundation.parts(NAMES, services=())
    wanted = ("services", "people", "data", "network")
    ensure(foundation.bootstrap(NAMES), apply=True)
    session = {"RoleArn": NAMES.role_arn("migration-operator"), "RoleSessionName": "models"}
    keys = boto3.client("sts").assume_role(**session)["Credentials"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    boto3.setup_default_session(**dict(zip(names, [*keys.values()][:3], strict=True)))
    ensure([each for part in wanted for each in parts[part]], apply=True)
    ensure(
        [
            athena.workgroup(
                NAMES.resource("lakebook"),
                f"s3://{NAMES.jobs_bucket}/athena/lakebook/",
                kms.alias(NAMES),
            ),
            *(glue.database(NAMES.database(layer), "") for layer in ("staging", "curated")),
        ],
        apply=True,
    )
    dice = np.random.default_rng(2)
    pressure, wind = dice.normal(1013, 10, ROWS), dice.choice(["west", "east"], ROWS)
    rain = np.where((pressure < 1013) & (wind == "west"), 5.0, 0.0)
    rain[::50] = np.nan  # nobody looked
    frame = pd.DataFrame(
        {
            "day_id": range(ROWS),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(ROWS), "D"),
        }
    )
    frame = frame.assign(pressure=pressure, wind=wind, rain=pd.array(rain, dtype="Int32"))
    curated("first", frame)
    subnets = ec2.subnets(NAMES, [])
    groups = ec2.security_group_ids(NAMES, "sagemaker", subnets)
    yield {"Subnets": subnets, "SecurityGroupIds": groups}
    boto3.setup_default_session()


def curated(snapshot, frame):
    """The table `sky.days` in the curated layer, switched to this snapshot."""
    location, packed = f"s3://{NAMES.curated_bucket}/sky/days/snapshot={snapshot}/", io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.set_column(1, "day", table["day"].cast(pa.timestamp("us"))), packed)
    bucket, key = s3.split(location)
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{key}part.parquet", Body=packed.getvalue())
    kinds = ["bigint", "timestamp", "double", "string", "int"]
    columns = [(each.catalog_name, kind, "") for each, kind in zip(COLUMNS, kinds, strict=True)]
    proof = {"inputs": snapshot, "files": "", "measure": "", "rows": len(frame)}
    parameters = {lake.SOURCE: table_json.to_json(DAYS), lake.PROOF: json.dumps(proof)}
    ensure(
        [
            glue.table(
                "sky_days",
                NAMES.database("curated"),
                glue.parquet_table(columns, location, "", parameters),
            )
        ],
        apply=True,
    )


def rain(place, **told):
    """The model, with something else told of it."""
    script = (
        told.pop("script_text", None) or (models.project() / "models" / "classifier.py").read_text()
    )
    return models.Model(NAMES, {**TOLD, **told}, script, IMAGE, "ml.m5.large", place)


def steps(model):
    return [*model.datasets(), *model.jobs(120)]


def applied(model):
    """Everything of 08 for one model, up to the switch."""
    ensure(steps(model), apply=True)
    ensure(model.published(gates.predictions_answer_all(NAMES, 63, model, apply=True)), apply=True)


@pytest.fixture(scope="module")
def trained(place):
    model = rain(place)
    applied(model)
    return model


def ask(sql):
    return athena.answer(sql, NAMES.database("curated"), NAMES.resource("lakebook"))


def test_a_plan_before_anything_is_there_makes_no_call_and_names_them_all(place):
    actions = [call.action for _, call in calls(steps(rain(place, name="planned")))]
    assert {
        "athena:StartQueryExecution",
        "sagemaker:CreateTrainingJob",
        "sagemaker:CreateModel",
        "sagemaker:CreateModelPackage",
        "sagemaker:CreateModelCard",
        "sagemaker:CreateTransformJob",
    } <= set(actions)
    assert not sagemaker._jobs("training", rain(place, name="planned").job_name)


def test_every_row_asked_has_one_answer_in_the_lake(trained):
    assert ask(
        "SELECT count(*), count(DISTINCT day_id), min(day_id) FROM models_rain_predictions"
    ) == [["126", "126", "274"]]
    wet, dry = (
        ask(
            "SELECT avg(probability) FROM models_rain_predictions JOIN sky_days USING (day_id)"
            f" WHERE rain {each}"
        )[0][0]
        for each in ("> 0", "= 0")
    )
    assert float(wet) > float(dry) + 0.3


def test_the_model_beats_its_baseline_and_says_so(trained, capsys):
    scores = models.scores([trained])
    assert models.no_better(scores) == []
    assert "score of rain: auc " in capsys.readouterr().out
    assert models.no_better(
        pd.DataFrame([{"model": "coin", "auc": 0.5, "baseline_auc": 0.5}, {"model": "mute"}])
    ) == ["coin", "mute"]
    evaluation = trained.evaluation()
    # of rows that nobody looked at, nothing is learned
    assert evaluation["rows"] == {"train": 268, "validation": 124}
    assert set(evaluation["importance"]) == {"pressure", "wind"}


def test_the_registry_and_the_card_say_what_the_model_is(trained):
    [entry] = models.cards([trained])
    assert (entry["version"], entry["approval"]) == (1, "PendingManualApproval")
    content = json.loads(
        boto3.client("sagemaker").describe_model_card(ModelCardName=trained.group)["Content"]
    )
    assert content["model_overview"]["model_name"] == trained.job_name
    figures = content["evaluation_details"][0]["metric_groups"][0]["metric_data"]
    assert {each["name"]: each["value"] for each in figures} == trained.metrics()


def test_nothing_is_done_twice(trained, place):
    again = rain(place)
    proved = gates.predictions_answer_all(NAMES, 63, again, apply=True)
    assert calls([*steps(again), *again.published(proved)]) == []
    assert needed_otherwise([*steps(again), *again.published(proved)]) == []


def test_another_snapshot_or_script_is_another_model(trained, place):
    assert (
        rain(place, hyperparameters={"iterations": 11, "baseline": "wind"}).inputs != trained.inputs
    )
    assert rain(place, script_text="pass").inputs != trained.inputs
    assert rain(place, question="Wet?").inputs == trained.inputs


def test_a_failing_script_is_one_sentence_and_readers_see_the_old_answers(trained, place):
    broken = rain(place, script_text="raise ValueError('no such column: colour')")
    before = ask("SELECT count(*), sum(probability) FROM models_rain_predictions")
    with pytest.raises(
        LakebookError,
        match=r"ended Failed: AlgorithmError.*no such column: colour.*the lake is as it was",
    ):
        ensure(steps(broken), apply=True)
    assert ask("SELECT count(*), sum(probability) FROM models_rain_predictions") == before
    # a name is used up by any job
    with pytest.raises(LakebookError, match=f"{broken.job_name}-2 ended Failed"):
        ensure(steps(broken), apply=True)


def test_a_missing_permission_is_one_sentence(place):
    role = NAMES.resource("sagemaker")
    boto3.client("iam").delete_role_policy(RoleName=role, PolicyName="lakebook")
    try:
        with pytest.raises(
            Exception, match=r"No S3 objects found .* that the role .*s3:ListBucket"
        ):
            ensure(steps(rain(place, name="denied")), apply=True)
    finally:
        ensure(sagemaker.roles(NAMES), apply=True)


@pytest.fixture(scope="module")
def answered(place):
    """A model with answers that nobody has looked at yet: the model, its file of answers."""
    model = rain(place, name="storm")
    ensure(steps(model), apply=True)
    [file] = s3.objects(model.location)
    bucket, key = s3.split(file["uri"])
    return model, boto3.resource("s3").Object(bucket, key)


@pytest.mark.parametrize("damage", ["a row too few", "a row twice", "no probability"])
def test_answers_that_are_not_whole_never_reach_readers(answered, damage):
    model, file = answered
    whole = file.get()["Body"].read()
    told = pd.read_parquet(io.BytesIO(whole))
    told = {
        "a row too few": told[1:],
        "a row twice": pd.concat([told[:1], told[:1], told[2:]]),
        "no probability": told.assign(probability=[None, *told["probability"][1:]]),
    }[damage]
    file.put(Body=told.to_parquet(index=False))
    try:
        with pytest.raises(CheckError, match="predictions of storm"):
            gates.predictions_answer_all(NAMES, 63, model, apply=True)
    finally:
        file.put(Body=whole)
    assert glue.describe(NAMES.database("curated"), "models_storm_predictions") is None


def test_lost_answers_are_asked_for_again(trained, place):
    model = rain(place)
    [file] = s3.objects(model.location)
    bucket, key = s3.split(file["uri"])
    boto3.client("s3").delete_object(Bucket=bucket, Key=key)
    assert model.proof() == {}
    assert [call.action for _, call in calls(steps(model))] == ["sagemaker:CreateTransformJob"]
    applied(model)
    assert model.proof()["rows"] == 126


def test_half_a_data_set_is_not_taken_for_the_whole(place):
    model = rain(place, name="halves")
    datasets = model.datasets()
    ensure(datasets, apply=True)
    assert calls(datasets) == []
    boto3.client("s3").put_object(
        Bucket=NAMES.jobs_bucket, Key=s3.split(model._uri("train"))[1] + "more", Body=b""
    )
    actions = [call.action for _, call in calls(datasets)]
    assert actions == ["s3:DeleteObjects", "athena:StartQueryExecution", "s3:PutObject"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key": "hour_id"}, "sky.days has no column hour_id: correct key"),
        ({"table": "sky.weeks", "query": "SELECT 1 FROM ${table.sky.weeks}"}, None),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_asked(place, wrong, said):
    model = rain(place, **wrong)
    if said is None:
        assert model.missing() == ["sky.weeks"]
        return
    with pytest.raises(LakebookError, match=said):
        model.datasets()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x", "is not a model's file: it must have card, features"),
        ("[", "cannot be read: while parsing"),
        (None, "cannot be read: .*No such file"),
    ],
)
def test_a_file_that_is_no_model_is_one_sentence(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(models, "project", lambda: tmp_path)
    if text:
        (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(LakebookError, match=said):
        models.read("model.yaml", NAMES, IMAGE, "ml.m5.large", {})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "Rain; drop"}, "name must be a name of small letters.*not 'Rain; drop'"),
        ({"name": None}, "name must be a name of small letters"),
        ({"table": "days"}, "table must be a table of the source"),
        ({"split_at": datetime.date(2020, 10, 1)}, "split_at must be a day or a moment in quotes"),
        ({"features": "pressure"}, "features must be a list of the query's columns"),
        ({"features": []}, "features must be a list"),
        ({"features": ["wind", "wind"]}, "features must be .* none twice"),
        ({"features": ["wind", 5]}, r"features\.1 must be the name of a column"),
        ({"hyperparameters": None}, "hyperparameters must be a mapping"),
        ({"hyperparameters": {"a": [1]}}, r"hyperparameters\.a must be a text"),
        ({"metrics": ["auc("]}, r"metrics\.0 must be a name of letters"),
        ({"card": "none"}, "card must be a mapping"),
        ({"query": 5}, "query must be a SELECT, not 5"),
    ],
)
def test_a_model_s_file_is_read_against_its_schema(tmp_path, monkeypatch, wrong, said):
    monkeypatch.setattr(models, "project", lambda: tmp_path)
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({**TOLD, **wrong}))
    with pytest.raises(LakebookError, match=said) as refused:
        models.read("model.yaml", NAMES, IMAGE, "ml.m5.large", {})
    assert "\n" not in str(refused.value)


def test_a_table_of_predictions_that_is_not_curated_is_missing_before_anything_is_trained(place):
    assert rain(place, table="sky.nope").missing() == ["sky.nope"]


def test_a_model_does_not_fill_what_another_or_the_source_fills(place):
    with pytest.raises(LakebookError, match="models_rain_predictions, which another model fills"):
        models.missing([rain(place), rain(place)])
    described = glue.parquet_table([("id", "int", "")], "s3://x/", "", {})
    name = "models_snow_predictions"
    raw = NAMES.database("raw")
    ensure([glue.database(raw, ""), glue.table(name, raw, described)], apply=True)
    with pytest.raises(LakebookError, match=r"snow would fill .* a table of the source fills"):
        models.missing([rain(place, name="snow")])


def test_studio_is_private_and_its_people_work_as_the_data_scientist(place):
    vpc = ec2.Network(NAMES).vpc()
    wanted = sagemaker.studio(NAMES, ["bo"], vpc, place["Subnets"], place["SecurityGroupIds"])
    ensure(wanted, apply=True)
    assert calls(wanted) == []
    assert needed_otherwise(wanted) == []
    client = boto3.client("sagemaker")
    found = client.describe_domain(DomainId=sagemaker.domain_id(NAMES.resource("studio")))
    assert (found["Status"], found["AppNetworkAccessType"]) == ("InService", "VpcOnly")
    assert found["DefaultUserSettings"]["ExecutionRole"] == NAMES.role_arn("data-scientist")
    assert sagemaker.studio(NAMES, [], vpc, [], []) == []


def test_studio_starts_for_a_data_scientist_once_the_vpc_reaches_sagemaker(place, capsys):
    network = ec2.Network(NAMES)
    wanted = sagemaker.studio(
        NAMES, ["bo"], network.vpc(), place["Subnets"], place["SecurityGroupIds"]
    )
    ensure(wanted, apply=True)
    lacking = sagemaker.studio_lacks(network, ["bo"])
    assert [each.partition(": ")[0].rpartition("com.amazonaws.")[2] for each in lacking] == [
        "eu-west-1.sagemaker.api",
        "eu-west-1.sagemaker.runtime",
    ]
    assert sagemaker.studio_lacks(network, []) == []
    taken = boto3.client("sts").assume_role(
        RoleArn=NAMES.role_arn("data-scientist"), RoleSessionName="bo"
    )["Credentials"]
    scientist = boto3.Session(
        taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"], NAMES.region
    ).client("sagemaker")
    where = {"DomainId": sagemaker.domain_id(NAMES.resource("studio")), "UserProfileName": "bo"}

    def opened():
        address = scientist.create_presigned_domain_url(**where)["AuthorizedUrl"]
        with contextlib.suppress(urllib.error.HTTPError):
            return urllib.request.urlopen(address, timeout=60).read().decode()

    assert opened() is None
    ensure(vpc_endpoints.endpoints(network, ["sagemaker.api", "sagemaker.runtime"]), apply=True)
    assert sagemaker.studio_lacks(network, ["bo"]) == []
    assert opened() == "Studio starts."
    sagemaker.tell_studio(NAMES, ["bo"])
    assert f"--domain-id {where['DomainId']} --user-profile-name bo" in capsys.readouterr().out
