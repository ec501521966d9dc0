"""Who works with the lake: a role for each kind of person, and the operator's role, which an
administrator makes once.
"""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

from lakebook import aws, yaml_text
from lakebook.ensure import Resource, current
from lakebook.errors import LakebookError
from lakebook.project import project
from lakebook.services import athena, iam, kms, policies

if TYPE_CHECKING:
    from pathlib import Path

    from lakebook.names import Names
    from lakebook.people.classification import Classification

PERSONAS = ("data-engineer", "data-scientist", "analyst", "auditor")
ASKING = ("data-engineer", "data-scientist", "analyst")  # the lake, by Athena
OPERATOR = "migration-operator"
QUERY = [
    "athena:BatchGetQueryExecution",
    "athena:GetQueryExecution",
    "athena:GetQueryResults",
    "athena:GetQueryResultsStream",  # of the JDBC and ODBC drivers; no call of the API
    "athena:GetWorkGroup",
    "athena:ListQueryExecutions",
    "athena:StartQueryExecution",
    "athena:StopQueryExecution",
]
READ_CATALOG = [
    "glue:GetDatabase",
    "glue:GetDatabases",
    "glue:GetPartition",
    "glue:GetPartitions",
    "glue:GetTable",
    "glue:GetTables",
    "glue:BatchGetPartition",
]
EARLIER = ["glue:GetTableVersion", "glue:GetTableVersions"]
LIST = ["s3:GetBucketLocation", "s3:ListBucket"]
WRITE = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
WORK = [*WRITE, "s3:DeleteObject"]  # what people keep, and throw away
# what Studio does in the name of whoever works in it, and what they read of models
STUDIO = [
    "sagemaker:AddTags",  # of all that Studio makes
    "sagemaker:CreateApp",
    "sagemaker:CreatePresignedDomainUrl",
    "sagemaker:CreateSpace",
    "sagemaker:DeleteApp",
    "sagemaker:DeleteSpace",
    "sagemaker:Describe*",
    "sagemaker:List*",
    "sagemaker:UpdateSpace",
]
AUDIT = [
    "cloudtrail:DescribeTrails",
    "cloudtrail:GetEventSelectors",
    "cloudtrail:GetTrail",
    "cloudtrail:GetTrailStatus",
    "cloudtrail:ListPublicKeys",
    "cloudtrail:LookupEvents",
]


def bootstrap(
    names: Names, operator_principals: list[str], operator_policy: Path
) -> list[Resource]:
    """What an administrator makes once, before anything else: the boundary of every role, and the
    operator's role with its policy, for these principals; none named: for whom IAM lets in the
    account.
    """
    boundary = document(project() / "policies" / "boundary.json", names)
    parts = policies.parts(document(project() / operator_policy, names)["Statement"])
    arns = tuple(
        f"{names.role_arn(OPERATOR).replace(':role/', ':policy/')}-{n}"
        for n in range(1, len(parts) + 1)
    )
    return [
        iam.managed_policy(names.resource("boundary"), names.boundary_arn, boundary, names.tags),
        *(
            iam.managed_policy(arn.rpartition("/")[2], arn, part, names.tags)
            for arn, part in zip(arns, parts, strict=True)
        ),
        iam.role(
            names.resource(OPERATOR),
            operator_principals or [f"arn:aws:iam::{names.account}:root"],
            managed=arns,
            tags=names.tags,
        ),
    ]


def document(file: Path, names: Names) -> dict[str, Any]:
    """A policy document of this repository with the names of one environment filled in."""
    values = {
        "account": names.account,
        "region": names.region,
        "prefix": names.prefix,
        "environment": names.environment,
    }
    filled: dict[str, Any] = json.loads(
        string.Template(file.read_text(encoding="utf-8")).safe_substitute(values)
    )
    return filled


def missing(names: Names) -> list[str]:
    """What `lakebook bootstrap` should have made and is not there."""
    client = aws.client("iam")
    role, policy = names.resource(OPERATOR), names.boundary_arn
    found = {
        role: current(client.get_role, iam.GONE, RoleName=role),
        policy: current(client.get_policy, iam.GONE, PolicyArn=policy),
    }
    return [name for name, each in found.items() if each is None]


def roles(
    names: Names,
    trusted_principals: dict[str, list[str]],
    classification: Classification | None = None,
) -> list[Resource]:
    """One role for each persona, within the boundary, for its own principals and the operator; no
    persona named: for whom IAM lets in the account. Raises LakebookError for an unknown persona.

    With a classification nobody reads the lake's files past Lake Formation, but those that it
    opens.
    """
    rights = {
        "data-engineer": _engineer(names, classification),
        "data-scientist": [
            *_reader(names, "data-scientist"),
            {"Action": EARLIER, "Resource": _catalog(names, "curated")},
            *_files(names, "data-scientist", classification),
            _objects(names.jobs_bucket, WORK, "work/data-scientist/"),
            {"Action": STUDIO, "Resource": "*"},
            *_warehouse(names),
        ],
        "analyst": [*_reader(names, "analyst"), *_warehouse(names)],
        "auditor": [
            {"Action": AUDIT, "Resource": "*"},
            _objects(names.audit_bucket, ["s3:GetObject"]),
            _lists(names.audit_bucket),
        ],
    }
    # Redshift's query editor for those who ask; its grants decide there, too
    managed = dict.fromkeys(ASKING, ("AmazonRedshiftQueryEditorV2NoSharing",))
    managed["auditor"] = ("SecurityAudit",)
    # which runs Studio as whoever works in it
    services = {"data-scientist": ["sagemaker.amazonaws.com"]}
    arns = {"type": "array", "items": {"type": "string"}, "description": "a list of ARNs"}
    yaml_text.check("trusted_principals", trusted_principals, {"additionalProperties": arns})
    if unknown := sorted(set(trusted_principals) - set(PERSONAS)):
        raise LakebookError(
            f"trusted_principals names {', '.join(unknown)}; there are {', '.join(PERSONAS)}."
        )
    return [
        iam.role(
            names.resource(each),
            [*_trusted(names, trusted_principals, each), *services.get(each, [])],
            source_account=names.account,
            statements=rights[each],
            managed=managed.get(each, ()),
            boundary=names.boundary_arn,
            tags=names.tags,
        )
        for each in PERSONAS
    ]


def overview(names: Names) -> list[dict[str, Any]]:
    """Our roles, a line each: role, who may take it, boundary, which ListRoles does not tell."""
    client = aws.client("iam")
    pages = client.get_paginator("list_roles").paginate()
    ours: list[Any] = [
        client.get_role(RoleName=each["RoleName"])["Role"]
        for page in pages
        for each in page["Roles"]
        if each["RoleName"].startswith(names.resource(""))
    ]
    return [
        {
            "role": each["RoleName"],
            "taken by": [one["Principal"] for one in each["AssumeRolePolicyDocument"]["Statement"]],
            "boundary": each.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
        }
        for each in ours
    ]


def workgroups(names: Names) -> list[Resource]:
    """A workgroup of Athena for each persona that asks the lake, so that nobody reads another's
    results.
    """
    return [
        athena.workgroup(
            names.resource(each), f"s3://{names.jobs_bucket}/athena/{each}/", kms.alias(names)
        )
        for each in ASKING
    ]


def _reader(names: Names, persona: str) -> list[dict[str, Any]]:
    """Asks the curated layer through Athena, where Lake Formation decides what is seen."""
    return [
        *_queries(names, persona),
        {"Action": READ_CATALOG, "Resource": _catalog(names, "curated")},
        {"Action": "lakeformation:GetDataAccess", "Resource": "*"},
        _lists(names.curated_bucket, names.jobs_bucket),
        _results(names, persona),
    ]


def _warehouse(names: Names) -> list[dict[str, Any]]:
    """Asks the warehouse through the Data API, where its grants decide what is seen.

    Source: "Authorizing access to the Amazon Redshift Data API".
    """
    cluster, database = (
        f"arn:aws:redshift:{names.region}:{names.account}:{kind}:{names.resource('warehouse')}"
        for kind in ("cluster", "dbname")
    )
    # their names are not in it
    workgroups = f"arn:aws:redshift-serverless:{names.region}:{names.account}:workgroup/*"
    return [
        {
            "Action": ["redshift-data:ExecuteStatement", "redshift-serverless:GetCredentials"],
            "Resource": workgroups,
        },
        {"Action": "redshift-data:ExecuteStatement", "Resource": cluster},
        {"Action": "redshift:GetClusterCredentialsWithIAM", "Resource": f"{database}/*"},
        {
            "Action": [
                "redshift-data:CancelStatement",
                "redshift-data:DescribeStatement",
                "redshift-data:GetStatementResult",
            ],
            "Resource": "*",
        },
    ]


def _engineer(names: Names, classification: Classification | None) -> list[dict[str, Any]]:
    """Reads every layer, runs and watches jobs and tasks, changes no role and no policy."""
    job = f"arn:aws:glue:{names.region}:{names.account}:job/{names.resource('*')}"
    logs = f"arn:aws:logs:{names.region}:{names.account}:log-group"
    layers = ("raw", "staging", "curated")
    return [
        *_queries(names, "data-engineer"),
        {
            "Action": READ_CATALOG,
            "Resource": sorted({arn for each in layers for arn in _catalog(names, each)}),
        },
        {
            "Action": [
                "glue:GetJob",
                "glue:GetJobRun",
                "glue:GetJobRuns",
                "glue:StartJobRun",
                "glue:BatchStopJobRun",
            ],
            "Resource": job,
        },
        {"Action": ["dms:Describe*", "lakeformation:GetDataAccess"], "Resource": "*"},
        {
            "Action": ["logs:FilterLogEvents", "logs:GetLogEvents"],
            "Resource": [f"{logs}:/aws-glue/*", f"{logs}:dms-tasks-*"],
        },
        _lists(names.raw_bucket, names.curated_bucket, names.jobs_bucket),
        *([] if classification else [_objects(names.raw_bucket, ["s3:GetObject"])]),
        *_files(names, "data-engineer", classification),
        _results(names, "data-engineer"),
        *_warehouse(names),
    ]


def _trusted(names: Names, trusted_principals: dict[str, list[str]], persona: str) -> list[str]:
    """Who may take a persona's role. A role that is named in a trust policy of its own account
    needs no other right to take it: "Cross account policy evaluation logic" of IAM.
    """
    if not trusted_principals:
        return [f"arn:aws:iam::{names.account}:root"]
    return [*trusted_principals.get(persona, []), names.role_arn(OPERATOR)]


def _workgroup(names: Names, persona: str) -> str:
    return f"arn:aws:athena:{names.region}:{names.account}:workgroup/{names.resource(persona)}"


def _queries(names: Names, persona: str) -> list[dict[str, Any]]:
    """Asks Athena in the persona's workgroup, and finds there in the console's editor, or by a
    driver, what may be asked.

    Sources: "Access to workgroups and data catalogs" and "JDBC 3.x driver" of Athena's user guide.
    """
    catalog = f"arn:aws:athena:{names.region}:{names.account}:datacatalog/AwsDataCatalog"
    return [
        {"Action": QUERY, "Resource": _workgroup(names, persona)},
        {"Action": athena.BROWSE_CATALOG, "Resource": catalog},
        {"Action": athena.LIST, "Resource": "*"},
    ]


def _catalog(names: Names, layer: str) -> list[str]:
    glue, database = f"arn:aws:glue:{names.region}:{names.account}", names.database(layer)
    return [
        f"{glue}:catalog",
        f"{glue}:database/{database}",
        f"{glue}:database/default",
        f"{glue}:table/{database}/*",
    ]


def _lists(*buckets: str) -> dict[str, Any]:
    return {"Action": LIST, "Resource": [f"arn:aws:s3:::{each}" for each in buckets]}


def _objects(bucket: str, actions: list[str], below: str = "") -> dict[str, Any]:
    return {"Action": actions, "Resource": f"arn:aws:s3:::{bucket}/{below}*"}


def _files(
    names: Names, persona: str, classification: Classification | None
) -> list[dict[str, Any]]:
    """The curated layer's files: all of them, or of the tables that the classification opens to the
    persona.
    """
    if classification is None:
        return [_objects(names.curated_bucket, ["s3:GetObject"])]
    prefixes = [each.replace(".", "/", 1) for each in classification.files.get(persona, [])]
    arns = [f"arn:aws:s3:::{names.curated_bucket}/{each}/*" for each in prefixes]
    return [{"Action": "s3:GetObject", "Resource": arns}] if arns else []


def _results(names: Names, persona: str) -> dict[str, Any]:
    return _objects(names.jobs_bucket, WRITE, f"athena/{persona}/")
