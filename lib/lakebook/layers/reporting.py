"""Views for reports and the lake's own tables in the warehouse, and who may read which: declared,
compared, granted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebook.ensure import Call, resource
from lakebook.errors import LakebookError
from lakebook.layers import lake
from lakebook.people.personas import OPERATOR
from lakebook.project import project
from lakebook.services.redshift import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.layers.warehouse import WarehouseTable
    from lakebook.names import Names
    from lakebook.services.redshift import Warehouse

SCHEMA, LAKE = "reporting", "lake"
VIEW = re.compile(
    rf"CREATE +VIEW +{SCHEMA}\.(\w+) +AS\s.*WITH +NO +SCHEMA +BINDING", re.IGNORECASE | re.DOTALL
)
NOTES = """CREATE TABLE IF NOT EXISTS lakebook.views (
    view_name varchar(127) NOT NULL,
    definition varchar(32) NOT NULL,
    made_at timestamp NOT NULL
)"""
# everything that was granted, in one question: kind, who, what, which
HELD = """SELECT 'role', role_name, '', '' FROM svv_roles
UNION ALL SELECT 'user', lower(user_name), '', '' FROM svv_user_info
UNION ALL SELECT 'member', lower(user_name), role_name, '' FROM svv_user_grants
UNION ALL SELECT privilege_scope, identity_name, namespace_name, privilege_type
    FROM svv_schema_privileges WHERE identity_type = 'role'"""


@dataclass(frozen=True)
class View:
    """One late-binding view of the file."""

    name: str
    sql: str
    comment: str
    # tables it reads that the warehouse does not get: such a view is not made
    absent: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """A fingerprint of what it is made from."""
        return lake.fingerprint([self.sql, self.comment])


def read(file: str, tables: list[WarehouseTable]) -> list[View]:
    """The views of a file of this repository, in order; none for "". Raises LakebookError for
    anything else in it.
    """
    if not file:
        return []
    there = {each.name for each in tables}
    try:
        text = (project() / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LakebookError(
            f"{file} cannot be read: {' '.join(str(error).split())}; correct reporting_file."
        ) from error
    found = [
        _view(each, file, there)
        for each in re.split(r";[ \t]*\n", f"{text}\n")
        if _without_comments(each)
    ]
    if twice := {each.name for each in found if [one.name for one in found].count(each.name) > 1}:
        raise LakebookError(
            f"{file} makes {', '.join(sorted(twice))} more than once: give each view a name of its"
            " own."
        )
    return found


@resource
def views(_name: str, warehouse: Warehouse, wanted: list[View]) -> Iterator[Call]:
    """The schema `reporting` with these views and no other of ours; each that differs is made
    anew in one transaction.
    """
    present = warehouse.relations()
    noted = (
        dict(
            warehouse.query("SELECT view_name, definition FROM lakebook.views").itertuples(
                index=False, name=None
            )
        )
        if "lakebook.views" in present
        else {}
    )
    wanted = [each for each in wanted if not each.absent]
    pending = [
        each
        for each in wanted
        if noted.get(each.name) != each.definition or f"{SCHEMA}.{each.name}" not in present
    ]
    gone = sorted(set(noted) - {each.name for each in wanted})
    if not pending and not gone:
        return
    first = [f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}", "CREATE SCHEMA IF NOT EXISTS lakebook", NOTES]
    yield from warehouse.transactions(
        [first, *map(_removed, gone), *([*_removed(each.name), *_made(each)] for each in pending)]
    )


@resource
def external_schema(
    name: str, warehouse: Warehouse, database: str, role_arn: str
) -> Iterator[Call]:
    """The curated tables of the Data Catalog as a schema beside the loaded ones: what is there now,
    read from S3 when it is asked for.
    """
    actual = dict(
        warehouse.query("SELECT schemaname, databasename FROM svv_external_schemas").itertuples(
            index=False, name=None
        )
        if warehouse.exists()
        else []
    )
    if actual.get(name, database) != database:
        yield warehouse.statement(f'DROP SCHEMA "{name}"')
    if actual.get(name) != database:
        yield warehouse.statement(
            f"CREATE EXTERNAL SCHEMA \"{name}\" FROM DATA CATALOG DATABASE '{database}' IAM_ROLE"
            f" '{role_arn}'"
        )


@resource
def readers(_name: str, warehouse: Warehouse, names: Names, schemas: list[str]) -> Iterator[Call]:
    """A database role for each kind of person with the schemas it reads, now and in time to come,
    held by the user of its IAM role.

    Scoped permissions: https://docs.aws.amazon.com/redshift/latest/dg/t_scoped-permissions.html
    """
    actual = {tuple(each) for each in warehouse.ask(HELD)} if warehouse.exists() else set()
    yield from warehouse.transactions(
        [[sql] for wanted, sql in _grants(names, schemas) if wanted not in actual]
    )


def may_use(persona: str, schema: str) -> bool:
    """Whether a persona's database role may use a schema; the operator, who administers the
    warehouse, may use all.
    """
    return persona == OPERATOR or schema in _reads([]).get(persona.replace("-", "_"), [])


def rights(schemas: list[str]) -> list[dict[str, str]]:
    """Who reads what in the warehouse, a line for each database role."""
    return [{"role": role, "reads": ", ".join(reads)} for role, reads in _reads(schemas).items()]


def counts(warehouse: Warehouse, wanted: list[View]) -> list[dict[str, int | str]]:
    """The rows of each view as it answers now, and what keeps one from being made; a view that
    cannot be read raises LakebookError.
    """
    parts = [
        f"SELECT '{each.name}', count(*) FROM {SCHEMA}.\"{each.name}\""
        for each in wanted
        if not each.absent
    ]
    rows = {str(name): count for name, count in warehouse.ask_all(parts)}
    return [
        {
            "view": each.name,
            "rows": int(rows.get(each.name) or 0),
            "left out, as it needs": ", ".join(each.absent),
        }
        for each in wanted
    ]


def _reads(schemas: list[str]) -> dict[str, list[str]]:
    """Analysts see no personal data; data scientists all that the lake has; engineers the
    bookkeeping too.
    """
    everything = [SCHEMA, *schemas, LAKE]
    return {
        "analyst": [SCHEMA],
        "data_scientist": everything,
        "data_engineer": [*everything, "lakebook"],
    }


def _grants(names: Names, schemas: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What must be held, as HELD says it, and the statement that gives it."""
    for role, reads in _reads(schemas).items():
        # as Redshift calls who comes with an IAM role; it may fold the name (r_names)
        user = f"IAMR:{names.resource(role.replace('_', '-'))}"
        yield ("role", role, "", ""), f"CREATE ROLE {role}"
        yield ("user", user.lower(), "", ""), f'CREATE USER "{user}" PASSWORD DISABLE'
        yield ("member", user.lower(), role, ""), f'GRANT ROLE {role} TO "{user}"'
        # late-binding views ask for USAGE on every schema behind them, whoever owns them
        # (r_CREATE_VIEW); it opens no table
        for each in dict.fromkeys([*reads, *schemas]):
            yield ("SCHEMA", role, each, "USAGE"), f'GRANT USAGE ON SCHEMA "{each}" TO ROLE {role}'
            if each in reads and each != LAKE:  # its tables are Lake Formation's to give
                yield (
                    ("TABLES", role, each, "SELECT"),
                    f'GRANT SELECT FOR TABLES IN SCHEMA "{each}" TO ROLE {role}',
                )


def _removed(view: str) -> list[str]:
    return [
        f'DROP VIEW IF EXISTS {SCHEMA}."{view}"',
        f"DELETE FROM lakebook.views WHERE view_name = {literal(view)}",
    ]


def _made(view: View) -> list[str]:
    return [
        view.sql,
        f'COMMENT ON VIEW {SCHEMA}."{view.name}" IS {literal(view.comment)}',
        f"INSERT INTO lakebook.views VALUES ({literal(view.name)}, '{view.definition}', getdate())",
    ]


def _view(statement: str, file: str, there: set[str]) -> View:
    sql = _without_comments(statement)
    found = VIEW.fullmatch(sql)
    if not found:
        raise LakebookError(
            f"{file} may only hold statements CREATE VIEW {SCHEMA}.name AS … WITH NO SCHEMA"
            f" BINDING; this is none: {' '.join(sql.split())[:80]}"
        )
    above = (
        statement.strip().rpartition("\n\n")[2] if statement.strip().startswith("--") else statement
    )
    comment = " ".join(each.lstrip("- ") for each in above.splitlines() if each.startswith("--"))
    # extract(hour FROM f.departed)
    clauses = re.sub(r"\w+\s*\([^()]*\bFROM\b[^()]*\)", "", sql, flags=re.IGNORECASE)
    reads = re.findall(r"\b(?:FROM|JOIN)\s+(\w+\.\w+)", clauses, re.IGNORECASE)
    return View(
        found[1].lower(), sql, comment, tuple(sorted({each.lower() for each in reads} - there))
    )


def _without_comments(statement: str) -> str:
    return "\n".join(each for each in statement.splitlines() if not each.startswith("--")).strip()
