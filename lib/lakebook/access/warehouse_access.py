"""Who sees what of the warehouse: the classification as grants on columns and row-level security,
for each persona's database role.

https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT-usage-notes.html,
https://docs.aws.amazon.com/redshift/latest/dg/t_rls.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebook.ensure import Call, Resource, resource
from lakebook.layers import lake, reporting
from lakebook.layers.reporting import LAKE, SCHEMA, may_use
from lakebook.layers.warehouse import quoted
from lakebook.people.personas import OPERATOR, PERSONAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.layers.warehouse import WarehouseTable
    from lakebook.names import Names
    from lakebook.people.classification import Classification
    from lakebook.services.redshift import Warehouse

Fact = tuple[str, ...]  # what holds, as HELD says it: kind, who, where, which
# everything that holds of our roles, in one question; the loaded tables' own columns beside it
HELD = """SELECT 'role', role_name, '', '' FROM svv_roles
UNION ALL SELECT 'user', lower(user_name), '', '' FROM svv_user_info
UNION ALL SELECT 'member', lower(user_name), role_name, '' FROM svv_user_grants
UNION ALL SELECT privilege_scope, identity_name, namespace_name, privilege_type
    FROM svv_schema_privileges WHERE identity_type = 'role'
UNION ALL SELECT 'RELATION', identity_name, namespace_name || '.' || relation_name, privilege_type
    FROM svv_relation_privileges WHERE identity_type = 'role'
UNION ALL SELECT 'COLUMN', identity_name, namespace_name || '.' || relation_name, column_name
    FROM svv_column_privileges WHERE identity_type = 'role' AND privilege_type = 'SELECT'
UNION ALL SELECT 'policy', polname, '', '' FROM svv_rls_policy
UNION ALL SELECT 'attached', grantee, relschema || '.' || relname, polname
    FROM svv_rls_attached_policy WHERE granteekind = 'role'
UNION ALL SELECT 'rows', '', relschema || '.' || relname, ''
    FROM svv_rls_relation WHERE is_rls_on"""
EVERY_ROW = "every_row"


def readers(
    name: str,
    warehouse: Warehouse,
    names: Names,
    classification: Classification | None,
    tables: list[WarehouseTable],
) -> Resource:
    """The personas' database roles with what they may read: by the classification, or without one
    whole schemas.
    """
    if classification is None:
        return reporting.readers(name, warehouse, names, sorted({each.schema for each in tables}))
    return classified_readers(name, warehouse, names, classification, tables)


@resource
def classified_readers(
    _name: str,
    warehouse: Warehouse,
    names: Names,
    classification: Classification,
    tables: list[WarehouseTable],
) -> Iterator[Call]:
    """A database role for each persona with exactly the columns of its classes and the rows of its
    conditions; what it holds besides goes.

    Once row-level security is on for a table, who has no policy there sees no row: so every reader
    has one.
    """
    held: set[Fact] = (
        {tuple(map(str, each)) for each in warehouse.ask(HELD)} if warehouse.exists() else set()
    )
    wanted = dict(_wanted(names, classification, tables))
    roles = {_role(each) for each in PERSONAS}
    extra = [each for each in sorted(held - set(wanted)) if each[0] in UNDO and each[1] in roles]
    undone = [UNDO[each[0]](each) for each in extra]
    statements = [*undone, *_together([each for each in wanted if each not in held], wanted)]
    yield from warehouse.transactions([[each] for each in statements])


def rights(
    classification: Classification | None, tables: list[WarehouseTable]
) -> list[dict[str, Any]]:
    """Who reads what: persona, table, columns seen and hidden, condition of its rows; without a
    classification the schemas of each role.
    """
    if classification is None:
        return list(reporting.rights(sorted({each.schema for each in tables})))
    return [
        {
            "persona": persona,
            "table": table.name,
            "sees": ", ".join(seen),
            "hidden": ", ".join(each for each in _columns(table) if each not in seen),
            "rows": _condition(classification, persona, table) or "all",
        }
        for persona in PERSONAS
        for table in tables
        if (seen := _seen(classification, persona, table))
    ]


def too_open(classification: Classification | None, tables: list[WarehouseTable]) -> list[str]:
    """Tables of which the external schema, where the warehouse's own role is asked, would show more
    than one of its users may see.
    """
    return [
        f"{persona}: {table.name}"
        for persona in PERSONAS
        for table in tables
        if classification and may_use(persona, LAKE)
        if (shown := set(_seen(classification, "redshift", table)))
        if shown - set(_seen(classification, persona, table))
        or _condition(classification, persona, table)
        not in ("", _condition(classification, "redshift", table))
    ]


def columns_seen(classification: Classification, persona: str, table: WarehouseTable) -> list[str]:
    """The columns of a loaded table, those that Redshift adds too, that a persona may read; all of
    them for the operator.
    """
    return _columns(table) if persona == OPERATOR else _seen(classification, persona, table)


def _wanted(
    names: Names, classification: Classification, tables: list[WarehouseTable]
) -> Iterator[tuple[Fact, str]]:
    """What must hold, and the statement that makes it so, in order."""
    protected = [each for each in tables if classification.rows.get(each.table.full_name)]
    policies = {EVERY_ROW: "CREATE RLS POLICY every_row USING (true)"} if protected else {}
    for table in protected:
        for persona in PERSONAS:
            if condition := _condition(classification, persona, table):
                policies[_policy(persona, table, condition)] = _create(persona, table, condition)
    for name, sql in policies.items():
        yield ("policy", name, "", ""), sql
    for table in protected:  # before anybody reads it
        yield ("rows", "", table.name, ""), f"ALTER TABLE {table.identifier} ROW LEVEL SECURITY ON"
    for persona in PERSONAS:
        yield from _identity(names, persona)
        seen = [
            (table, columns)
            for table in tables
            if (columns := _seen(classification, persona, table))
        ]
        # late-binding views ask for USAGE on every schema behind them, whoever owns them
        # (r_CREATE_VIEW); it opens no table
        for schema in (
            sorted({SCHEMA, *(table.schema for table in tables)})
            if classification.personas.get(persona)
            else []
        ):
            yield (
                ("SCHEMA", _role(persona), schema, "USAGE"),
                f'GRANT USAGE ON SCHEMA "{schema}" TO ROLE {_role(persona)}',
            )
        yield from _scopes(classification, persona)
        for table, columns in seen:
            yield from ((("COLUMN", _role(persona), table.name, each), "") for each in columns)
        for table in protected if classification.personas.get(persona) else []:
            yield _attached(classification, persona, table)


def _together(lacking: list[Fact], wanted: dict[Fact, str]) -> list[str]:
    """The statements for what lacks, the columns of a table in one GRANT."""
    columns: dict[tuple[str, str], list[str]] = {}
    for kind, role, table, column in lacking:
        if kind == "COLUMN":
            columns.setdefault((role, table), []).append(f'"{column}"')
    grants = [
        f"GRANT SELECT ({', '.join(some)}) ON {quoted(table)} TO ROLE {role}"
        for (role, table), some in columns.items()
    ]
    return [*(wanted[each] for each in lacking if each[0] != "COLUMN"), *grants]


def _identity(names: Names, persona: str) -> Iterator[tuple[Fact, str]]:
    # as Redshift calls who comes with an IAM role; it may fold the name (r_names)
    role, user = _role(persona), f"IAMR:{names.resource(persona)}"
    yield ("role", role, "", ""), f"CREATE ROLE {role}"
    yield ("user", user.lower(), "", ""), f'CREATE USER "{user}" PASSWORD DISABLE'
    yield ("member", user.lower(), role, ""), f'GRANT ROLE {role} TO "{user}"'


def _scopes(classification: Classification, persona: str) -> Iterator[tuple[Fact, str]]:
    """Views of reports for who sees anything, the external schema and the bookkeeping as without a
    classification.
    """
    role, classes = _role(persona), classification.personas.get(persona, [])
    if classes:
        yield (
            ("TABLES", role, SCHEMA, "SELECT"),
            f'GRANT SELECT FOR TABLES IN SCHEMA "{SCHEMA}" TO ROLE {role}',
        )
    if may_use(persona, LAKE):
        yield ("SCHEMA", role, LAKE, "USAGE"), f'GRANT USAGE ON SCHEMA "{LAKE}" TO ROLE {role}'
    if may_use(persona, "lakebook"):
        yield (
            ("SCHEMA", role, "lakebook", "USAGE"),
            f'GRANT USAGE ON SCHEMA "lakebook" TO ROLE {role}',
        )
        yield (
            ("TABLES", role, "lakebook", "SELECT"),
            f'GRANT SELECT FOR TABLES IN SCHEMA "lakebook" TO ROLE {role}',
        )


def _attached(
    classification: Classification, persona: str, table: WarehouseTable
) -> tuple[Fact, str]:
    """The policy of who reads a protected table, be it below a view alone: there the rows of who
    asks are shown.
    """
    condition = _condition(classification, persona, table)
    policy = _policy(persona, table, condition) if condition else EVERY_ROW
    return (
        ("attached", _role(persona), table.name, policy),
        f"ATTACH RLS POLICY {policy} ON {table.identifier} TO ROLE {_role(persona)}",
    )


def _create(persona: str, table: WarehouseTable, condition: str) -> str:
    """The policy with the types of all columns that the condition might name."""
    named = [each for each in table.typed_columns if each[0] in condition]
    listed = ", ".join(f'"{name}" {kind}' for name, kind in named)
    return (
        f"CREATE RLS POLICY {_policy(persona, table, condition)} WITH ({listed}) USING"
        f" ({condition})"
    )


def _policy(persona: str, table: WarehouseTable, condition: str) -> str:
    """A name that changes with the condition, as a policy in use is not replaced but left for
    another.
    """
    return f"{_role(persona)}_{table.table.catalog_name}_{lake.fingerprint(condition)[:8]}"[:127]


def _condition(classification: Classification, persona: str, table: WarehouseTable) -> str:
    return classification.condition(persona, table.table)


def _seen(classification: Classification, persona: str, table: WarehouseTable) -> list[str]:
    """The columns of the persona's classes; the text beside a document has the document's class."""
    seen = classification.seen(persona, table.table)
    texts = {text: document for document, text in table.documents.items()}
    return [each for each in _columns(table) if texts.get(each, each) in seen]


def _columns(table: WarehouseTable) -> list[str]:
    return [name for name, _ in table.typed_columns]


def _role(persona: str) -> str:
    return persona.replace("-", "_")


UNDO = {
    "SCHEMA": lambda fact: f'REVOKE {fact[3]} ON SCHEMA "{fact[2]}" FROM ROLE {fact[1]}',
    "TABLES": lambda fact: f'REVOKE {fact[3]} FOR TABLES IN SCHEMA "{fact[2]}" FROM ROLE {fact[1]}',
    "RELATION": lambda fact: f"REVOKE {fact[3]} ON {quoted(fact[2])} FROM ROLE {fact[1]}",
    "COLUMN": lambda fact: f'REVOKE SELECT ("{fact[3]}") ON {quoted(fact[2])} FROM ROLE {fact[1]}',
    "attached": lambda fact: (
        f"DETACH RLS POLICY {fact[3]} ON {quoted(fact[2])} FROM ROLE {fact[1]}"
    ),
}
