"""One person erased: whoever is gone from the source and from the current layers is removed from
every remaining copy.

The phases 03, 05 and 06 carry a deletion forward; what they leave behind on purpose, so that one
can go back, must go here: earlier snapshots and versions of objects, versions of tables in the
catalog, documents, results of queries, data sets of models. History goes for the whole of a
person's tables, as no file is rewritten. Neither the person's key nor a value is printed or
recorded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, resource
from lakebook.errors import LakebookError
from lakebook.layers import documents, lake, models
from lakebook.layers.warehouse import name_of, quoted
from lakebook.reconcile.canonical_sql import ATHENA, REDSHIFT
from lakebook.services import athena, glue, s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names
    from lakebook.services.redshift import Warehouse
    from lakebook.source.dialect import Dialect
    from lakebook.source.model import Table
    from lakebook.source.source import Source

LAYERS = ("raw", "staging", "curated")


@dataclass(frozen=True)
class Request:
    """Who is to be forgotten; shown without the key."""

    names: Names
    subject: Table  # customers.passengers
    key: str
    tables: tuple[
        Table, ...
    ]  # that hold rows of the person: the subject's own, and what refers to it, however indirectly

    def __repr__(self) -> str:
        return (
            f"a person of {self.subject.full_name}, whose rows are in"
            f" {', '.join(each.full_name for each in self.tables)}"
        )

    def value(self, dialect: Dialect) -> str:
        """The key in SQL."""
        [name] = self.subject.primary_key
        found = next(each.type for each in self.subject.columns if each.name == name)
        return str(int(self.key)) if found.is_integer else dialect.literal(self.key)

    def named_in(self) -> list[tuple[Table, str]]:
        """(table, column) of every table that names the person by the key itself."""
        found = [(self.subject, self.subject.primary_key[0])]
        for table in self.tables:
            found += [
                (table, each.columns[0])
                for each in table.foreign_keys
                if table.references(each) == self.subject.full_name
            ]
        return found


def read(names: Names, secret: str) -> Request:
    """The request in a secret: `{"table": "customers.passengers", "key": "17"}`; raises
    LakebookError where it fits no curated table.
    """
    content = json.loads(
        aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    )
    known = {
        each.full_name: each for each in (lake.source_of(one) for one in lake.curated_tables(names))
    }
    subject = known.get(content.get("table", ""))
    if subject is None or "key" not in content or len(subject.primary_key) != 1:
        raise LakebookError(
            f"The secret {secret} must be JSON with table, a curated table whose primary key is one"
            f" column, and key; the lake has {', '.join(sorted(known))}."
        )
    return Request(
        names, subject, str(content["key"]), tuple(_related(subject, list(known.values())))
    )


def in_source(request: Request, source: Source) -> dict[str, int]:
    """Rows of the source that name the person, by table; they must be erased there first."""
    found, quote, value = {}, source.dialect.quote, request.value(source.dialect)
    for table, column in request.named_in():
        name = quote(table.schema, table.name)
        sql = f"select count(*) from {name} where {quote(column)} = {value}"
        found[table.full_name] = int(source.query(sql)[0][0])
    return {name: rows for name, rows in found.items() if rows}


def in_layers(request: Request, warehouse: Warehouse) -> list[dict[str, Any]]:
    """Rows that name the person, a line for each place and table: place, table, rows."""
    names, workgroup, found = request.names, request.names.resource("lakebook"), []
    for layer in LAYERS:
        there = {each["Name"] for each in glue.tables(names.database(layer))}
        for table, column in request.named_in():
            if table.catalog_name in there:
                sql = (
                    f'SELECT count(*) FROM "{table.catalog_name}" WHERE'
                    f" {ATHENA.quote(_catalog(table, column))} = {request.value(ATHENA)}"
                )
                rows = int(athena.answer(sql, names.database(layer), workgroup)[0][0])
                found.append({"place": layer, "table": table.full_name, "rows": rows})
    loaded = warehouse.relations()
    for table, column in request.named_in():
        name = name_of(table)
        if name in loaded:
            where = quoted(name)
            sql = (
                f"SELECT count(*) FROM {where} WHERE"
                f" {REDSHIFT.quote(_catalog(table, column))} = {request.value(REDSHIFT)}"
            )
            found.append(
                {
                    "place": "warehouse",
                    "table": table.full_name,
                    "rows": int(warehouse.ask(sql)[0][0] or 0),
                }
            )
    return found


def remaining_copies(request: Request) -> list[dict[str, Any]]:
    """What could still hold rows of the person, a line each: place, copies."""
    kept = _kept(request)
    return [
        {"place": "documents", "copies": len(_documents(request))},
        *(
            {"place": f"earlier versions below {uri}", "copies": len(s3.earlier(uri, current))}
            for uri, current in kept.items()
        ),
        *(
            {
                "place": f"earlier versions of the table {name}",
                "copies": len(_versions(request, name)),
            }
            for name in _catalogued(request)
        ),
    ]


def purged(request: Request) -> list[Resource]:
    """The end of all remaining copies: objects with all their versions, and versions of
    tables.
    """
    return [
        *(s3.without_history(uri, uri, current) for uri, current in _kept(request).items()),
        *(_without_versions(each, request) for each in _catalogued(request)),
    ]


@resource
def documents_removed(_name: str, request: Request) -> Iterator[Call]:
    """The documents that somebody put below the person's folders; 05 takes them out of the
    table.
    """
    found = _documents(request)
    for start in range(0, len(found), 1000):
        keys = [{"Key": s3.split(each)[1]} for each in found[start : start + 1000]]
        arguments = {"Bucket": request.names.raw_bucket, "Delete": {"Objects": keys}}
        yield Call(aws.client("s3").delete_objects, arguments, redacted=True)


@resource
def _without_versions(name: str, request: Request) -> Iterator[Call]:
    for each in _versions(request, name):
        where = {
            "DatabaseName": request.names.database("curated"),
            "TableName": name,
            "VersionId": each,
        }
        yield Call(aws.client("glue").delete_table_version, where)


def _related(subject: Table, known: list[Table]) -> list[Table]:
    """The subject's table and every table whose foreign keys lead to it."""
    found = [subject]
    for table in found:  # grows while it is walked
        refers = [
            each
            for each in known
            if each not in found
            and any(each.references(one) == table.full_name for one in each.foreign_keys)
        ]
        found.extend(refers)
    return found


def _documents(request: Request) -> list[str]:
    folder = f"/{request.subject.primary_key[0]}={request.key}/"
    return [
        each["uri"] for each in s3.objects(documents.prefix(request.names)) if folder in each["uri"]
    ]


def _catalogued(request: Request) -> list[str]:
    """The curated tables that may show the person: by name in the catalog."""
    there = {each["Name"] for each in glue.tables(request.names.database("curated"))}
    return sorted({*(each.catalog_name for each in request.tables), documents.TABLE} & there)


def _kept(request: Request) -> dict[str, str]:
    """Prefix to what below it is still current; "" where nothing is."""
    names = request.names
    shown = {name: glue.describe(names.database("curated"), name) for name in _catalogued(request)}
    found = {
        each["StorageDescriptor"]["Location"].rpartition("snapshot=")[0]: each["StorageDescriptor"][
            "Location"
        ]
        for each in shown.values()
        if each
    }
    return {
        **found,
        f"s3://{names.jobs_bucket}/athena/": "",
        f"s3://{names.jobs_bucket}/work/": "",
        **dict.fromkeys(_data_sets(names), ""),
    }


def _data_sets(names: Names) -> list[str]:
    """What models were taught with and asked: their files, not the models."""
    folders = {
        each["Key"].rpartition("/")[0]
        for each in s3.earlier(f"s3://{names.jobs_bucket}/{models.SCHEMA}/", "")
    }
    return sorted(
        f"s3://{names.jobs_bucket}/{each}/"
        for each in folders
        if each.rpartition("/")[2] in models.CHANNELS
    )


def _versions(request: Request, name: str) -> list[str]:
    """The versions of a curated table but its newest."""
    database = request.names.database("curated")
    pages = (
        aws.client("glue")
        .get_paginator("get_table_versions")
        .paginate(DatabaseName=database, TableName=name)
    )
    found = [str(each["VersionId"]) for page in pages for each in page["TableVersions"]]
    return sorted(found, key=int)[:-1]


def _catalog(table: Table, column: str) -> str:
    return next(each.catalog_name for each in table.columns if each.name == column)
