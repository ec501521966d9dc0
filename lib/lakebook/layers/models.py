"""A model from one file: what it learns from, its training, its predictions as a curated table, and
its model card.
"""

from __future__ import annotations

import gzip
import io
import json
import string
import tarfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from lakebook import aws, evidence, yaml_text
from lakebook.errors import LakebookError
from lakebook.layers import lake, warehouse
from lakebook.project import project
from lakebook.reconcile.canonical_sql import ATHENA, REDSHIFT
from lakebook.services import athena, glue, kms, s3, sagemaker
from lakebook.source.model import Column, LakeType, Table
from lakebook.source.names import catalog_name
from lakebook.source.types import glue_type

if TYPE_CHECKING:
    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.reconcile.measure import Measure
    from lakebook.services.redshift import Warehouse

SCHEMA = "models"
_TEXT = {"type": "string", "minLength": 1, "description": "a text"}
_NAME = {"type": "string", "minLength": 1, "description": "the name of a column of the query"}
SPOKEN = {  # what a model's file must say, by JSON schema
    "name": {
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]*$",  # it is in the names of a table, of jobs, of a folder
        "description": "a name of small letters, digits and _, such as flight_delay",
    },
    "question": _TEXT,
    "table": {
        "type": "string",
        "pattern": r"^[^.]+\.[^.]+",
        "description": "a table of the source, such as operations.flights",
    },
    "key": {**_NAME, "description": "the name of a column of that table"},
    "split_at": {
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?$",
        "description": 'a day or a moment in quotes, such as "2013-10-01"',
    },
    "label": _NAME,
    "features": {
        "type": "array",
        "items": _NAME,
        "minItems": 1,
        "uniqueItems": True,
        "description": "a list of the query's columns, in brackets or with dashes, none twice",
    },
    "query": {**_TEXT, "description": "a SELECT"},
    "script": {**_TEXT, "description": "a file of this repository"},
    "hyperparameters": {
        "type": "object",
        "additionalProperties": {
            "type": ["string", "number", "boolean"],
            "description": "a text, a number, true or false",
        },
        "description": "a mapping, {} for none",
    },
    "metrics": {
        "type": "array",
        "items": {
            "type": "string",
            "pattern": r"^\w+$",
            "description": "a name of letters, digits and _, as the script prints it",
        },
        "description": "a list of what the script prints",
    },
    "card": {"type": "object", "description": "a mapping, as the JSON schema of model cards"},
}
MEMBERS = set(SPOKEN)
PARQUET = "application/x-parquet"
CHANNELS = ("train", "validation", "asked")
VOLUME_GIB = 30
ANSWER_SECONDS = 600  # for one payload; the container's own default is 60
LARGEST_MEGABYTES = 100  # of a payload of batch transform, which takes a Parquet file whole
HOUR_SECONDS = 3600
LONGEST_JOB_NAME = 60  # 63 with the number of the try


class _Text(string.Template):
    """`${table.operations.flights}`."""

    idpattern = r"(?-i:[A-Za-z_][\w.]*)"


@dataclass(frozen=True)
class Model:
    """What a file of `models/` declares, for one environment; `image` is AWS's scikit-learn
    container in the Region.
    """

    names: Names
    declared: dict[str, Any]
    script: str
    image: str
    instance_type: str
    place: dict[str, Any]  # {"Subnets", "SecurityGroupIds"}

    @property
    def name(self) -> str:
        """`flight_delay`."""
        return str(self.declared["name"])

    @property
    def table_name(self) -> str:
        """The table of its predictions, in the schema `models`."""
        return f"{self.name}_predictions"

    @cached_property
    def inputs(self) -> str:
        """A name for everything that training depends on: query, snapshots, script, settings. The
        same inputs are trained once.
        """
        settings = {key: self.declared[key] for key in sorted(MEMBERS - {"card", "question"})}
        return lake.fingerprint([settings, self._snapshots, self.script, self.image])

    @property
    def job_name(self) -> str:
        """`acme-rehearsal-flight-delay-<inputs>`: of the model, and of its jobs with a number
        behind it.
        """
        return f"{self.group}-{self.inputs}"

    @property
    def group(self) -> str:
        """`acme-rehearsal-flight-delay`: of the registry's group and the card."""
        return self.names.resource(self.name.replace("_", "-"))

    @property
    def key(self) -> str:
        """The key's column as the catalog names it."""
        return self._key.catalog_name

    @property
    def asked_in_warehouse(self) -> str:
        """The table that predictions are made for, as the warehouse names it."""
        return warehouse.quoted(warehouse.name_of(self._asked))

    def missing(self) -> list[str]:
        """The tables that the query reads or predictions are made for, and the curated layer does
        not have.
        """
        return sorted({*self._tables, self.declared["table"]} - set(self._curated))

    def datasets(self) -> list[Resource]:
        """Rows before `split_at` to teach, rows with a known answer from then on to judge, and all
        rows from then on to be asked.
        """
        known, split = (
            f"{ATHENA.quote(self.declared['label'])} IS NOT NULL",
            f"timestamp '{self.declared['split_at']}'",
        )
        declared, answer = [self.key, *self.declared["features"]], self.declared["label"]
        wanted = {
            "train": ([*declared, answer], f"known_at < {split} AND {known}"),
            "validation": ([*declared, answer], f"known_at >= {split} AND {known}"),
            "asked": (declared, f"known_at >= {split}"),
        }
        workgroup, database = self.names.resource("lakebook"), self.names.database("curated")
        return [
            athena.unloaded(
                f"{self.name} {channel}",
                f"SELECT {', '.join(map(ATHENA.quote, columns))} FROM ({self._query}) AS known"
                f" WHERE {condition}",
                self._uri(channel),
                database,
                workgroup,
                HOUR_SECONDS,
            )
            for channel, (columns, condition) in wanted.items()
        ]

    def training(self, timeout_seconds: int) -> list[Resource]:
        """The script and the job that runs it over the data sets."""
        given = {
            "key": self.key,
            "label": self.declared["label"],
            **self.declared["hyperparameters"],
        }
        submitted = {
            "sagemaker_program": Path(self.declared["script"]).name,
            "sagemaker_submit_directory": self._source,
        }
        metrics = [
            {"Name": each, "Regex": rf"\b{each}=([0-9.]+);"} for each in self.declared["metrics"]
        ]
        channels = [
            {
                "ChannelName": each,
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": self._uri(each)}
                },
                "ContentType": PARQUET,
            }
            for each in CHANNELS[:2]
        ]
        desired = {
            "HyperParameters": {key: str(value) for key, value in {**given, **submitted}.items()},
            "AlgorithmSpecification": {
                "TrainingImage": self.image,
                "TrainingInputMode": "File",
                "MetricDefinitions": metrics,
            },
            "RoleArn": self.names.role_arn("sagemaker"),
            "InputDataConfig": channels,
            "OutputDataConfig": {
                "S3OutputPath": self._uri("output"),
                "KmsKeyId": kms.key_arn(kms.alias(self.names)),
            },
            "ResourceConfig": {
                "InstanceType": self.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": VOLUME_GIB,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": timeout_seconds},
            "VpcConfig": self.place,
            "Tags": self._tags,
        }
        archive = s3.stored_object(
            self._source, _packed(Path(self.declared["script"]).name, self.script)
        )
        return [archive, sagemaker.trained(self.job_name, desired, timeout_seconds)]

    def jobs(self, timeout_seconds: int) -> list[Resource]:
        """All that is made of the data sets: training job, registered model, batch transform job;
        each of the two jobs may take `timeout_seconds`.
        """
        training, predicted = self.training(timeout_seconds), self.predicted(timeout_seconds)
        return [*training, *self.registered(), *predicted]

    def registered(self) -> list[Resource]:
        """The trained model, its version in the registry and its card."""
        rest = {
            "ExecutionRoleArn": self.names.role_arn("sagemaker"),
            "VpcConfig": self.place,
            "Tags": self._tags,
        }
        return [
            sagemaker.model(self.job_name, self._container, rest),
            sagemaker.package_group(self.group, self.declared["question"], self.names.tags),
            sagemaker.package(self.group, self._package, self.inputs),
            sagemaker.card(self.group, self.card, self.names.tags),
        ]

    def predicted(self, timeout_seconds: int) -> list[Resource]:
        """The batch transform job, which writes to a snapshot nobody sees yet, and the snapshot as
        a table of the staging database.
        """
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": self._uri("asked")}}
        desired = {
            "ModelName": self.job_name,
            "MaxConcurrentTransforms": 1,
            "MaxPayloadInMB": LARGEST_MEGABYTES,
            "BatchStrategy": "SingleRecord",
            "TransformInput": {"DataSource": source, "ContentType": PARQUET, "SplitType": "None"},
            "TransformOutput": {
                "S3OutputPath": self.location,
                "Accept": PARQUET,
                "KmsKeyId": kms.key_arn(kms.alias(self.names)),
            },
            "TransformResources": {"InstanceType": self.instance_type, "InstanceCount": 1},
            "Tags": self._tags,
        }
        described = glue.parquet_table(self._columns, self.location, self.table.comment, {})
        return [
            sagemaker.transformed(self.job_name, desired, self.location, timeout_seconds),
            glue.table(self.table.catalog_name, self.names.database("staging"), described),
        ]

    def published(self, measure: Measure | None) -> list[Resource]:
        """The curated table of predictions, switched to this snapshot with its measure as proof;
        nothing without one.
        """
        if measure is None:
            return []
        proof = lake.proof(
            inputs=self.inputs,
            files=lake.fingerprint(s3.objects(self.location)),
            measure=measure.to_json(),
            rows=measure.rows,
        )
        parameters = {lake.SOURCE: lake.source_uri(self.names, self.table), lake.PROOF: proof}
        described = glue.parquet_table(self._columns, self.location, self.table.comment, parameters)
        return [
            lake.source_kept(self.table.catalog_name, self.names, self.table),
            lake.measure_kept(self.table.catalog_name, self.names, measure.to_json()),
            glue.table(self.table.catalog_name, self.names.database("curated"), described),
        ]

    def proof(self) -> dict[str, Any]:
        """What the catalog says of the predictions of these inputs: {"inputs", "files", "measure",
        "rows"}; empty while there are none.
        """
        actual = glue.describe(self.names.database("curated"), self.table.catalog_name)
        found = lake.proof_of(actual)
        there = found.get("inputs") == self.inputs and found["files"] == lake.fingerprint(
            s3.objects(self.location)
        )
        return found if there else {}

    @property
    def location(self) -> str:
        """Where the predictions of these inputs are."""
        return (
            f"s3://{self.names.curated_bucket}/{SCHEMA}/{self.table_name}/snapshot={self.inputs}/"
        )

    @cached_property
    def table(self) -> Table:
        """The table of predictions, as if the source had it; no foreign key, by which the warehouse
        would lay out the other table anew.
        """
        key = replace(self._key, nullable=False, generated=False)
        comment = "The model's probability that the answer is yes"
        columns = (
            key,
            Column("probability", "probability", "double", LakeType("double"), comment=comment),
        )
        return Table(
            SCHEMA,
            self.table_name,
            f"{SCHEMA}_{self.table_name}",
            0,
            False,
            0,
            columns,
            (key.name,),
            comment=self.declared["question"],
        )

    def metrics(self) -> dict[str, float]:
        """The training's metrics by name, of what the script left beside the model, else as
        SageMaker found them in the log, which takes it a while; empty before it is trained.
        """
        job, told = sagemaker.completed("training", self.job_name) or {}, self.evaluation()
        found = {
            each["MetricName"]: float(each["Value"]) for each in job.get("FinalMetricDataList", [])
        }
        found |= {each: round(told[each], 6) for each in self.declared["metrics"] if each in told}
        return {each: found[each] for each in self.declared["metrics"] if each in found}

    def evaluation(self) -> dict[str, Any]:
        """What the script found of its own work: `evaluation.json` of the job's output, with roc,
        calibration and importance.
        """
        job = sagemaker.completed("training", self.job_name)
        if job is None:
            return {}
        bucket, key = s3.split(
            job["ModelArtifacts"]["S3ModelArtifacts"].rpartition("/")[0] + "/output.tar.gz"
        )
        packed = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            found: dict[str, Any] = json.load(archive.extractfile("evaluation.json"))  # type: ignore[arg-type]
        return found

    def card(self) -> dict[str, Any]:
        """The model card's content;
        https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards.html, "Model card JSON schema".
        """
        declared, measured = self.declared["card"], self.metrics()
        job = sagemaker.completed("training", self.job_name) or {}
        figures = [
            {"name": name, "type": "number", "value": value} for name, value in measured.items()
        ]
        sources = [self._uri(each) for each in CHANNELS[:2]]
        details = {
            "training_arn": job.get("TrainingJobArn", ""),
            "training_datasets": sources,
            "training_environment": {"container_image": [self.image]},
        }
        overview = {
            "model_name": self.job_name,
            "model_description": self.declared["question"],
            "model_artifact": [job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")],
        }
        evaluation = {
            "name": f"rows from {self.declared['split_at']} on",
            "datasets": sources[1:],
            "metric_groups": [{"name": "validation", "metric_data": figures}],
        }
        return {
            **declared,
            "model_overview": {**overview, **declared.get("model_overview", {})},
            "training_details": {"training_job_details": details},
            "evaluation_details": [evaluation],
        }

    def too_large(self) -> list[str]:
        """The files that batch transform would refuse for their size."""
        return [
            each["uri"]
            for each in s3.objects(self._uri("asked"))
            if each["bytes"] > LARGEST_MEGABYTES * 2**20
        ]

    def rows_asked(self) -> int:
        """How many rows the query has from `split_at` on, counted anew."""
        sql = (
            f"SELECT count(*) FROM ({self._query}) AS known WHERE known_at >= timestamp"
            f" '{self.declared['split_at']}'"
        )
        return int(
            athena.answer(sql, self.names.database("curated"), self.names.resource("lakebook"))[0][
                0
            ]
        )

    def rows_answered(self) -> int:
        """How many of those rows have one prediction in the staging database, counted anew."""
        key = ATHENA.quote(self.key)
        table = ATHENA.quote(self.names.database("staging"), self.table.catalog_name)
        answers = f"SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) = 1"
        sql = (
            f"SELECT count(*) FROM ({self._query}) AS known JOIN ({answers}) AS answers"
            f" ON answers.{key} = known.{key}"
            f" WHERE known_at >= timestamp '{self.declared['split_at']}'"
        )
        return int(
            athena.answer(sql, self.names.database("curated"), self.names.resource("lakebook"))[0][
                0
            ]
        )

    @property
    def _source(self) -> str:
        return self._uri("script").rstrip("/") + "/sourcedir.tar.gz"

    @property
    def _tags(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.names.tags.items()]

    @property
    def _columns(self) -> list[tuple[str, str, str]]:
        return [
            (each.catalog_name, glue_type(each.type), each.comment) for each in self.table.columns
        ]

    @cached_property
    def _curated(self) -> dict[str, dict[str, Any]]:
        """`operations.flights` to the curated table in the catalog."""
        return {lake.source_of(each).full_name: each for each in lake.curated_tables(self.names)}

    @property
    def _tables(self) -> list[str]:
        return sorted(
            {
                each.removeprefix("table.")
                for each in _Text(self.declared["query"]).get_identifiers()
            }
        )

    @cached_property
    def _snapshots(self) -> dict[str, str]:
        proofs = {name: lake.proof_of(each) for name, each in self._curated.items()}
        return {name: proofs[name]["inputs"] for name in self._tables if name in proofs}

    @property
    def _query(self) -> str:
        database = self.names.database("curated")
        known = {
            f"table.{each}": f'"{database}"."{self._curated[each]["Name"]}"'
            for each in self._tables
            if each in self._curated
        }
        return _Text(self.declared["query"]).safe_substitute(known)

    @cached_property
    def _asked(self) -> Table:
        """The table that predictions are made for."""
        found = self._curated.get(self.declared["table"])
        schema, _, name = self.declared["table"].partition(".")
        shown = catalog_name(f"{schema}_{name}")
        return lake.source_of(found) if found else Table(schema, name, shown, 0, False, 0, ())

    @property
    def _key(self) -> Column:
        name = self.declared["key"]
        found = next((each for each in self._asked.columns if each.name == name), None)
        if self._asked.columns and found is None:
            raise LakebookError(
                f"{self.declared['table']} has no column {name}: correct key in the model's file."
            )
        return found or Column(name, name, "bigint", LakeType("int64"))

    def _container(self) -> dict[str, Any]:
        job = sagemaker.completed("training", self.job_name) or {}
        served = {
            "SAGEMAKER_PROGRAM": Path(self.declared["script"]).name,
            "SAGEMAKER_SUBMIT_DIRECTORY": self._source,
            # the container installs the script with pip before it serves; newer pips would build it
            # apart and fetch setuptools, for which there is no way: "0" is no isolation
            "PIP_NO_BUILD_ISOLATION": "0",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": str(ANSWER_SECONDS),
        }
        artifact = job.get("ModelArtifacts", {}).get(
            "S3ModelArtifacts", f"<what {self.job_name} leaves>"
        )
        return {"Image": self.image, "ModelDataUrl": artifact, "Environment": served}

    def _package(self) -> dict[str, Any]:
        container = self._container()
        inference = {
            "Containers": [container],
            "SupportedContentTypes": [PARQUET],
            "SupportedResponseMIMETypes": [PARQUET],
        }
        return {
            "ModelPackageDescription": self.declared["question"],
            "InferenceSpecification": inference,
        }

    def _uri(self, part: str) -> str:
        return f"s3://{self.names.jobs_bucket}/models/{self.name}/{self.inputs}/{part}/"


def read(file: str, names: Names, image: str, instance_type: str, place: dict[str, Any]) -> Model:
    """The model of a file of this repository; raises LakebookError where the file or its script
    cannot be read.
    """
    declared, script = _content(file)
    found = Model(names, declared, script, image, instance_type, place)
    if len(found.job_name) > LONGEST_JOB_NAME:
        raise LakebookError(
            f"The name {found.name} in {file} is too long for SageMaker's jobs by"
            f" {len(found.job_name) - LONGEST_JOB_NAME} characters: choose a shorter one."
        )
    return found


def predictions_columns(file: str) -> tuple[str, list[str]]:
    """The table that a model of this file fills, and its columns, as the classification names them:
    `("models.flight_delay_predictions", ["flight_id", "probability"])`.

    Raises LakebookError where the file or its script cannot be read.
    """
    declared, _ = _content(file)
    return f"{SCHEMA}.{declared['name']}_predictions", [declared["key"], "probability"]


def missing(chosen: list[Model]) -> list[str]:
    """The tables that the models' queries read and the curated layer does not have; raises
    LakebookError where two models, or a model and the source, would fill the same table.
    """
    given = [each.table.catalog_name for each in chosen]
    for each in chosen:
        name = each.table.catalog_name
        is_source = glue.describe(each.names.database("raw"), name) is not None
        if is_source or given.count(name) > 1:
            owner = "a table of the source" if is_source else "another model"
            raise LakebookError(
                f"The model {each.name} would fill {name}, which {owner} fills: give it another"
                " name."
            )
    return [each for model in chosen for each in model.missing()]


def too_large(chosen: list[Model]) -> list[str]:
    """The files of the models' data sets that batch transform would refuse, by URI."""
    return [each for model in chosen for each in model.too_large()]


def scores(chosen: list[Model]) -> pd.DataFrame:
    """A line for each model with the metrics of its training; the line is also the run's result."""
    found = [{"model": each.name, **each.metrics()} for each in chosen]
    for each in found:
        evidence.result(
            f"score of {each['model']}",
            ", ".join(f"{name} {each[name]:.3f}" for name in each if name != "model"),
        )
    return evidence.table(found, "scores")


def no_better(scores: pd.DataFrame) -> list[str]:
    """The models whose `auc` is not above their `baseline_auc`, or who have none."""
    return [
        str(each["model"])
        for each in scores.to_dict("records")
        if not each.get("auc", 0) > each.get("baseline_auc", 1)
    ]


def cards(chosen: list[Model]) -> list[dict[str, Any]]:
    """What the registry says of each model: version, approval, card, and what made it."""
    found = [(each, sagemaker.version(each.group, each.inputs) or {}) for each in chosen]
    return [
        {
            "model": each.name,
            "version": version.get("ModelPackageVersion"),
            "approval": version.get("ModelApprovalStatus"),
            "card": each.group,
            "artifact": (
                version.get("InferenceSpecification", {})
                .get("Containers", [{}])[0]
                .get("ModelDataUrl")
            ),
        }
        for each, version in found
    ]


def overview(store: Warehouse, chosen: list[Model]) -> pd.DataFrame:
    """How many rows of each model's table were answered with which probability, as the warehouse
    joins them: model, probability, rows.
    """
    parts = [
        f"SELECT '{each.name}' AS model, floor(probability * 10) / 10 AS \"from probability\","
        f' count(*) AS "rows" FROM "{SCHEMA}"."{each.table_name}" JOIN {each.asked_in_warehouse} AS'
        f" asked USING ({REDSHIFT.quote(each.key)}) GROUP BY 1, 2"
        for each in chosen
    ]
    return store.query(" UNION ALL ".join(parts) + " ORDER BY 1, 2") if parts else pd.DataFrame()


def _packed(name: str, text: str) -> bytes:
    """A script as the tar.gz that AWS's container unpacks; the same bytes for the same text."""
    packed, content = io.BytesIO(), text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _content(file: str) -> tuple[dict[str, Any], str]:
    """What a model's file says, and the script that it names."""
    try:
        declared = yaml_text.read((project() / file).read_text(encoding="utf-8"))
        if not isinstance(declared, dict) or set(declared) != MEMBERS:
            raise LakebookError(
                f"{file} is not a model's file: it must have {', '.join(sorted(MEMBERS))}, and"
                " nothing else."
            )
        yaml_text.check(file, declared, {"properties": SPOKEN})
        return declared, (project() / declared["script"]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LakebookError(
            f"{file} cannot be read: {' '.join(str(error).split())}; correct it."
        ) from error
