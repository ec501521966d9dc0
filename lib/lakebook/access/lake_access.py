"""Who sees what of the lake: the classification as LF-Tags, grants by tag, data cells filters, and
the end of what IAM alone allows.

Columns carry a tag with their class, and nothing is seen that carries none: a new column belongs to
nobody until it is classified. Grants add up, so a role that sees only some rows of a table gets
that table by its filter alone: such tables carry `rows=restricted`, which no tag grant of that role
fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lakebook.layers import documents, lake, models
from lakebook.people.personas import OPERATOR, PERSONAS
from lakebook.services import glue, lakeformation
from lakebook.sources import missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.people.classification import Classification

UNCLASSIFIED = "unclassified"
ALL_ROWS, SOME_ROWS = "all", "restricted"
LAYERS = ("raw", "staging", "curated")
SERVICES_THAT_READ = ("quicksight", "redshift")  # of the roles that 02 makes


@dataclass(frozen=True)
class LakeTable:
    """One curated table with what the classification says of it."""

    name: str  # in the catalog: operations_flights
    full_name: str  # in the source: operations.flights
    location: str
    classes: dict[str, str]  # column in the catalog, partition keys too, to its class
    conditions: dict[str, str]  # role to the condition its rows must meet

    def seen(self, classification: Classification, role: str) -> list[str]:
        """The columns that a role sees."""
        classes = classification.personas.get(role, [])
        return [column for column, each in self.classes.items() if each in classes]


def tables(names: Names, classification: Classification) -> list[LakeTable]:
    """Every table of the curated layer; columns made for partitions have the class of what they are
    made from.
    """
    return [_table(each, classification) for each in glue.tables(names.database("curated"))]


def unmatched_patterns(
    names: Names,
    classification: Classification | None,
    model_files: list[str],
    left_out: Sequence[str] = (),
) -> list[str]:
    """The patterns, tables and personas of the classification that match nothing: neither a role of
    ours, nor a raw table, nor
    the table of documents that 05 makes, nor those of predictions that 08 makes of `model_files`.
    None without a classification, nor of a source that is `left_out`.
    """
    if classification is None:
        return []
    sources = [each.source for each in lake.raw_tables(names)]
    known = {each.full_name: [column.name for column in each.columns] for each in sources}
    known[documents.FULL_NAME] = list(documents.COLUMNS)
    known.update(map(models.predictions_columns, model_files))
    strange = set(classification.personas) - {OPERATOR, *PERSONAS, *SERVICES_THAT_READ}
    unmatched = missing(classification.unmatched_patterns(known), (), left_out)
    return [*unmatched, *sorted(strange)]


def permissions(names: Names, classification: Classification | None) -> list[Resource]:
    """All tags, grants and filters that a classification asks for; nothing without one."""
    if classification is None:
        return []
    return [
        *foundation(names, classification),
        *readers(names, classification),
        *classified(names, classification),
    ]


def foundation(names: Names, classification: Classification) -> list[Resource]:
    """The tags, the databases with theirs, the operator's and the job's own grants: in force before
    anything is taken away.
    """
    operator, job = names.role_arn(OPERATOR), names.role_arn("glue")
    every = {layer: names.database(layer) for layer in LAYERS}
    closed = {_class(names): UNCLASSIFIED, _rows(names): ALL_ROWS}
    return [
        lakeformation.lf_tag(_class(names), [*classification.classes, UNCLASSIFIED]),
        lakeformation.lf_tag(_rows(names), [ALL_ROWS, SOME_ROWS]),
        *(lakeformation.tagged_database(each, closed) for each in every.values()),
        lakeformation.grants(
            "of the operator and the job",
            [
                *((operator, {"Database": {"Name": each}}, ["ALL"]) for each in every.values()),
                *((operator, _tables(each), ["ALL"]) for each in every.values()),
                *(
                    (
                        operator,
                        {"DataLocation": {"ResourceArn": f"arn:aws:s3:::{each}"}},
                        ["DATA_LOCATION_ACCESS"],
                    )
                    for each in (names.raw_bucket, names.curated_bucket)
                ),
                (job, _tables(every["raw"]), ["SELECT"]),
            ],
        ),
    ]


def readers(names: Names, classification: Classification) -> list[Resource]:
    """What each role may see by tag: the curated database, and of its tables the columns of the
    role's classes.
    """
    return [lakeformation.grants("by tag", list(_by_tag(names, classification)))]


def classified(
    names: Names, classification: Classification | None, only: list[str] | None = None
) -> list[Resource]:
    """The tags of the curated tables and their columns, and what roles with conditions see of them;
    `only` names tables of the catalog.

    Nothing without a classification.
    """
    if classification is None:
        return []
    found = [each for each in tables(names, classification) if only is None or each.name in only]
    return [part for each in found for part in _classified(names, classification, each)]


def enforced(
    names: Names, classification: Classification | None, *, hybrid: bool = False
) -> list[Resource]:
    """The end of what IAM alone allows in the three databases, tables first, and of whatever our
    readers hold beyond what is declared.

    With `hybrid` this holds for the classification's roles only, which are opted in. Nothing
    without a classification.
    """
    if classification is None:
        return []
    ours = {names.database(layer) for layer in LAYERS}
    readers = {names.role_arn(each) for each in _readers(classification)}
    declared = _declared(names, classification)

    def everybody(entry: dict[str, Any]) -> set[str]:
        iam_alone = lakeformation.who(entry) == lakeformation.EVERYBODY and bool(
            _databases(entry) & ours
        )
        return set(entry["Permissions"]) if iam_alone else set()

    def careless(entry: dict[str, Any]) -> set[str]:
        beyond = set(entry["Permissions"]) - declared.get(
            (lakeformation.who(entry), lakeformation.what(entry)), set()
        )
        return beyond if lakeformation.who(entry) in readers else set()

    beyond = lakeformation.revoked("what readers hold beyond their classes", careless)
    if hybrid:
        return [_opted_in(names, classification), beyond]
    closed = [lakeformation.closed_database(each) for each in sorted(ours)]
    return [*closed, beyond, lakeformation.revoked("what IAM alone allowed", everybody)]


def closed_to_iam(names: Names, classification: Classification | None) -> list[str]:
    """The lake's databases that IAM alone does not open to anybody though no classification does
    either: Lake Formation's default settings of the account are closed, or it once had one.
    """
    if classification:
        return []
    opened = {
        database
        for entry in lakeformation.held()
        if lakeformation.who(entry) == lakeformation.EVERYBODY and "ALL" in entry["Permissions"]
        for database in _databases(entry)
        if "Database" in entry["Resource"]
    }
    return sorted({names.database(layer) for layer in LAYERS} - opened)


def personal(names: Names, classification: Classification | None) -> list[str]:
    """The curated tables, by name in the catalog, with a column of the most closed two classes:
    those that speak of people.
    """
    closed = list(classification.classes)[-2:] if classification else []
    found = tables(names, classification) if classification else []
    return [each.name for each in found if any(one in closed for one in each.classes.values())]


def overview(names: Names, classification: Classification | None) -> list[dict[str, Any]]:
    """A line for each role: the classes it sees, how many columns that is, of which tables it sees
    some rows, whose files it reads.
    """
    if classification is None:
        return []
    found = tables(names, classification)
    return [
        {
            "role": role,
            "classes": ", ".join(classes),
            "columns": sum(len(each.seen(classification, role)) for each in found),
            "some rows of": ", ".join(each.full_name for each in found if role in each.conditions),
            "files of": ", ".join(classification.files.get(role, [])),
        }
        for role, classes in classification.personas.items()
    ]


def released(names: Names) -> list[Resource]:
    """`IAMAllowedPrincipals` granted again, databases and tables, as it was before `enforced`: the
    way back when something important is shut out.
    """
    every = lakeformation.EVERYBODY
    databases = [names.database(layer) for layer in LAYERS]
    shown = [(each, found["Name"]) for each in databases for found in glue.tables(each)]
    on_databases = [(every, {"Database": {"Name": each}}, ["ALL"]) for each in databases]
    on_tables = [
        (every, {"Table": {"DatabaseName": each, "Name": name}}, ["ALL"]) for each, name in shown
    ]
    return [lakeformation.grants("to whoever IAM allows", [*on_databases, *on_tables])]


def past_lake_formation(names: Names, classification: Classification | None) -> list[str]:
    """Files that the classification opens to roles which may see only a part of their table:
    `data-scientist: customers.passengers`.
    """
    if classification is None:
        return []
    return [
        f"{role}: {table.full_name}"
        for role, patterns in classification.files.items()
        for table in tables(names, classification)
        if any(fnmatchcase(table.full_name, each) for each in patterns)
        and (role in table.conditions or table.seen(classification, role) != list(table.classes))
    ]


def _opted_in(names: Names, classification: Classification) -> Resource:
    return lakeformation.opted_in(
        "readers",
        [
            (names.role_arn(role), on)
            for role in classification.personas
            for database in map(names.database, LAYERS)
            for on in ({"Database": {"Name": database}}, _tables(database))
            if role != OPERATOR
        ],
    )


def _classified(names: Names, classification: Classification, table: LakeTable) -> list[Resource]:
    curated = names.database("curated")
    columns = {column: {_class(names): each} for column, each in table.classes.items()}
    own = {_rows(names): SOME_ROWS} if table.conditions else {}
    return [
        *_filters(names, classification, table),
        lakeformation.grants(f"on {table.name}", list(_by_table(names, classification, table))),
        lakeformation.tagged_table(table.name, curated, own or {_rows(names): ALL_ROWS}, columns),
    ]


def _by_tag(names: Names, classification: Classification) -> Iterator[lakeformation.Grant]:
    """What roles may see by their classes, and the database `default` where there is one: Athena
    wants it for every query.

    https://docs.aws.amazon.com/athena/latest/ug/lf-athena-limitations.html
    """
    databases = [names.database("curated"), *(["default"] if glue.has_database("default") else [])]
    for role in _readers(classification):
        who, classes = names.role_arn(role), classification.personas[role]
        rows = [ALL_ROWS] if _has_conditions(classification, role) else [ALL_ROWS, SOME_ROWS]
        tags = [
            {"TagKey": _class(names), "TagValues": classes},
            {"TagKey": _rows(names), "TagValues": rows},
        ]
        yield from ((who, {"Database": {"Name": each}}, ["DESCRIBE"]) for each in databases)
        yield (
            who,
            {"LFTagPolicy": {"ResourceType": "TABLE", "Expression": tags}},
            ["DESCRIBE", "SELECT"],
        )


def _by_table(
    names: Names, classification: Classification, table: LakeTable
) -> Iterator[lakeformation.Grant]:
    """A table of which some role sees only some rows: that role by a filter, the others with
    conditions elsewhere by name.
    """
    where = {"DatabaseName": names.database("curated"), "Name": table.name}
    for role in _readers(classification) if table.conditions else []:
        columns, who = table.seen(classification, role), names.role_arn(role)
        if not columns or not _has_conditions(classification, role):
            continue
        if role in table.conditions:
            yield who, {"DataCellsFilter": _cells(names, role, table)}, ["SELECT"]
        else:
            yield who, {"TableWithColumns": {**where, "ColumnNames": columns}}, ["SELECT"]


def _filters(names: Names, classification: Classification, table: LakeTable) -> Iterator[Resource]:
    for role, condition in table.conditions.items():
        if columns := table.seen(classification, role):
            cells = _cells(names, role, table)
            yield lakeformation.data_cells_filter(
                cells["Name"], cells["DatabaseName"], table.name, columns, condition
            )


def _cells(names: Names, role: str, table: LakeTable) -> dict[str, str]:
    name = names.resource(role).replace("-", "_")
    where = {"DatabaseName": names.database("curated"), "TableName": table.name}
    return {"TableCatalogId": names.account, **where, "Name": name}


def _declared(names: Names, classification: Classification) -> dict[tuple[str, str], set[str]]:
    """Who holds what by our declarations: (principal, resource as `what` writes it)."""
    by_table = [
        each
        for one in tables(names, classification)
        for each in _by_table(names, classification, one)
    ]
    found: dict[tuple[str, str], set[str]] = {}
    for who, on, permissions in [*_by_tag(names, classification), *by_table]:
        found.setdefault((who, lakeformation.what({"Resource": on})), set()).update(permissions)
    return found


def _databases(entry: dict[str, Any]) -> set[str]:
    found = [each for each in entry["Resource"].values() if isinstance(each, dict)]
    return {str(each.get("DatabaseName") or each.get("Name")) for each in found}


def _table(catalogued: dict[str, Any], classification: Classification) -> LakeTable:
    parameters = catalogued.get("Parameters", {})
    if lake.SOURCE in parameters:
        source = lake.source_of(catalogued)
        full_name, known = (
            source.full_name,
            {each.catalog_name: each.name for each in source.columns},
        )
    else:
        full_name, known = f"landing.{catalogued['Name']}", {}
    columns = [each["Name"] for each in catalogued["StorageDescriptor"]["Columns"]]
    classes = {each: classification.of(full_name, known.get(each, each)) for each in columns}
    for key in catalogued.get("PartitionKeys", []):
        made_from = str(key["Name"]).rpartition("_")[0]
        classes[key["Name"]] = classification.of(full_name, known.get(made_from, made_from))
    conditions = classification.rows.get(full_name, {})
    return LakeTable(
        catalogued["Name"],
        full_name,
        catalogued["StorageDescriptor"]["Location"],
        classes,
        conditions,
    )


def _readers(classification: Classification) -> list[str]:
    """The roles that see something by their classes; the operator has everything, as the owner."""
    return [
        role for role, classes in classification.personas.items() if classes and role != OPERATOR
    ]


def _has_conditions(classification: Classification, role: str) -> bool:
    return any(role in each for each in classification.rows.values())


def _tables(database: str) -> dict[str, Any]:
    return {"Table": {"DatabaseName": database, "TableWildcard": {}}}


def _class(names: Names) -> str:
    """The LF-Tag of classes: tags are the account's, so the environment is in their names."""
    return names.resource("class")


def _rows(names: Names) -> str:
    return names.resource("rows")
