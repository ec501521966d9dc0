"""Redshift's definitions: tables with their keys and lengths, schemas, views, comments; what DuckDB
cannot keep is noted beside.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from local_aws.duckdb_sql import quote
from local_aws.redshift import database as redshift_database
from local_aws.redshift import late_views, queries
from local_aws.redshift import rights as redshift_rights
from local_aws.redshift.database import Column, column_types, relation_exists, schema_exists
from local_aws.redshift.sql import RedshiftError, folded
from local_aws.redshift.types import declared, of_duckdb, too_long

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.redshift.session import Session

MOST_COLUMNS = 1600  # https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_usage.html
NAME = r'(?:"[^"]+"|\w+)'


def without_inline_keys(sql: str) -> str:
    """A CREATE TABLE with `distkey` and `sortkey` of single columns moved behind its column list,
    where sqlglot reads them.
    """
    if not re.match(r"CREATE\s+(TEMP\w*\s+|LOCAL\s+)*TABLE\b", sql, re.IGNORECASE):
        return sql
    tokens, depth, start, cuts, keys = sqlglot.tokenize(sql, read="redshift"), 0, None, [], []
    for place, token in enumerate(tokens):
        following = tokens[place + 1].token_type if place + 1 < len(tokens) else None
        if token.token_type == TokenType.L_PAREN:
            depth += 1
            start = tokens[place + 1] if depth == 1 and start is None else start
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1
        elif token.token_type == TokenType.COMMA and depth == 1:
            start = tokens[place + 1]
        elif (
            depth == 1
            and token.text.lower() in ("distkey", "sortkey")
            and following != TokenType.L_PAREN
            and start is not token
            and start
        ):
            cuts.append((token.start, token.end + 1))
            keys.append(f'{token.text}("{start.text}")')
    for first, last in reversed(cuts):
        sql = sql[:first] + sql[last:]
    return f"{sql} {' '.join(keys)}"


def create(session: Session, tree: exp.Create, text: str) -> int:
    """A table, a table of a query's rows (their number), or a view."""
    if tree.find(exp.MaterializedProperty):
        raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")
    if tree.kind == "VIEW":
        return _create_view(session, tree, text)
    if tree.kind != "TABLE":
        raise RedshiftError(f"local_aws does not do CREATE {tree.kind}")
    if isinstance(tree.this, exp.Schema):
        return _create_table(session, tree)
    return _create_table_as(session, tree, text)


def _place(session: Session, tree: exp.Create, table: exp.Table) -> tuple[str, str]:
    """Where a new table goes: schema ("" for a temporary one) and name; raises RedshiftError."""
    temporary = table.name.startswith("#") or bool(
        tree.args.get("properties") and tree.args["properties"].find(exp.TemporaryProperty)
    )
    schema = "" if temporary else table.db or session.schema
    if schema and not schema_exists(session.connection, schema):
        raise RedshiftError(f'schema "{schema}" does not exist')
    session.rights.create_in(schema)
    return schema, table.name


def _identifier(schema: str, name: str) -> str:
    return f"{quote(schema)}.{quote(name)}" if schema else f"temp.{quote(name)}"


def _create_table(session: Session, tree: exp.Create) -> int:
    schema, name = _place(session, tree, tree.this.this)
    if relation_exists(session.connection, schema, name):
        if tree.args.get("exists"):
            return 0
        raise RedshiftError(f'Relation "{name}" already exists')
    layout = _layout(tree)
    columns, lines = [], []
    for each in tree.this.expressions:
        if isinstance(each, exp.ColumnDef):
            column, line = _column(session, each, layout, f"{schema}.{name}")
            columns.append(column)
            lines.append(line)
        elif isinstance(each, exp.LikeProperty):
            copied = _copied(session, each, layout)
            columns += copied
            lines += [_definition(column) for column in copied]
    if len(columns) > MOST_COLUMNS:
        raise RedshiftError(f"tables can have at most {MOST_COLUMNS} columns")
    _check_keys(columns, layout, tree)
    for column in columns:  # a primary key is not enforced, but its columns take no NULL
        if column.name in _primary_key(tree) and not column.not_null:
            column.not_null = True
    lines = [
        line if " NOT NULL" in line or not column.not_null else f"{line} NOT NULL"
        for column, line in zip(columns, lines, strict=True)
    ]
    session.connection.execute(
        f"CREATE {'TEMP ' if not schema else ''}TABLE {_identifier(schema, name)}"
        f" ({', '.join(lines)})"
    )
    if schema:
        redshift_database.remember(
            session.connection, schema, name, columns, layout["diststyle"], layout["sortstyle"]
        )
        redshift_rights.made(session.connection, session.user, schema, name)
    return 0


def _column(
    session: Session, each: exp.ColumnDef, layout: dict[str, Any], table: str
) -> tuple[Column, str]:
    kind = declared(each.args["kind"]) if each.args.get("kind") else None
    if kind is None:
        raise RedshiftError(
            f"local_aws does not have the type of column {each.name}:"
            f" {each.sql(dialect='redshift')}"
        )
    if too_long(kind):
        said = each.args["kind"].sql(dialect="redshift").lower()
        raise RedshiftError(f"length or precision of type {said} is more than the maximum")
    column = Column(
        each.name,
        kind,
        distkey=each.name == layout["distkey"],
        sortkey=layout["sortkeys"].index(each.name) + 1 if each.name in layout["sortkeys"] else 0,
    )
    for constraint in each.constraints:
        one = constraint.kind
        if isinstance(one, exp.NotNullColumnConstraint):
            column.not_null = not one.args.get("allow_null")
        elif isinstance(one, exp.EncodeColumnConstraint):
            column.encoding = one.this.name.lower()
        elif isinstance(one, exp.DefaultColumnConstraint):
            column.default = one.this.sql(dialect="duckdb").replace(
                "CURRENT_TIMESTAMP", "this_second()"
            )
        elif isinstance(
            one, exp.GeneratedAsIdentityColumnConstraint | exp.AutoIncrementColumnConstraint
        ):
            column.default, column.not_null = _identity(session, one, f"{table}.{each.name}"), True
        elif isinstance(one, exp.PrimaryKeyColumnConstraint):
            column.not_null = True
        elif not isinstance(
            one, exp.UniqueColumnConstraint | exp.Reference | exp.CollateColumnConstraint
        ):
            raise RedshiftError(
                f"local_aws does not do {one.sql(dialect='redshift')} of column {each.name}"
            )
    return column, _definition(column)


def _definition(column: Column) -> str:
    default = f" DEFAULT {column.default}" if column.default else ""
    return (
        f"{quote(column.name)}"
        f" {column.type.duckdb}{default}{' NOT NULL' if column.not_null else ''}"
        f" {column.type.check(quote(column.name))}".rstrip()
    )


def _identity(session: Session, one: exp.Expr, column: str) -> str:
    sequence = f"local_aws.{quote(column)}"
    first, step = one.args.get("start"), one.args.get("increment")
    session.connection.execute(
        f"CREATE OR REPLACE SEQUENCE {sequence} START {first.name if first else 1} INCREMENT"
        f" {step.name if step else 1}"
    )
    return f"nextval('{sequence}')"


def _copied(session: Session, each: exp.LikeProperty, layout: dict[str, Any]) -> list[Column]:
    """The columns of CREATE TABLE … (LIKE other): names, types, NOT NULL, keys and encodings, no
    defaults.
    """
    schema, name = session.target(each.this)
    if not schema:
        raise RedshiftError("local_aws does not do LIKE of a temporary table")
    columns = []
    for noted in redshift_database.definitions(session.connection, schema, name):
        kind = declared(
            exp.DataType.build(
                noted["type"].replace("binary varying", "varbyte"), dialect="redshift"
            )
        )
        columns.append(
            Column(
                noted["column_name"],
                kind or of_duckdb(noted["duckdb"]),
                noted["not_null"],
                "",
                noted["encoding"],
                noted["distkey"],
                noted["sortkey"],
            )
        )
    found = session.connection.execute(
        "SELECT diststyle, sortstyle FROM local_aws.tables WHERE schema_name = ? AND"
        " table_name = ?",
        [schema, name],
    ).fetchall()
    layout["diststyle"], layout["sortstyle"] = found[0]
    return columns


def _layout(tree: exp.Create) -> dict[str, Any]:
    """Distribution and sort keys of a definition, in the words of SVV_TABLE_INFO."""
    layout: dict[str, Any] = {
        "diststyle": "AUTO(ALL)",
        "distkey": "",
        "sortkeys": [],
        "sortstyle": "auto",
    }
    for each in tree.args["properties"].expressions if tree.args.get("properties") else []:
        if isinstance(each, exp.DistStyleProperty):
            layout["diststyle"] = {"AUTO": "AUTO(ALL)"}.get(
                each.this.name.upper(), each.this.name.upper()
            )
        elif isinstance(each, exp.DistKeyProperty):
            layout |= {"distkey": each.this.name, "diststyle": f"KEY({each.this.name})"}
        elif isinstance(each, exp.SortKeyProperty):
            keys = each.this if isinstance(each.this, list) else each.this.expressions
            layout["sortkeys"] += [one.name for one in keys]
            layout["sortstyle"] = "compound"
        elif not isinstance(each, exp.TemporaryProperty):
            raise RedshiftError(f"local_aws does not do {each.sql(dialect='redshift')}")
    return layout


def _primary_key(tree: exp.Create) -> list[str]:
    return [
        one.name
        for each in tree.this.expressions
        if isinstance(each, exp.PrimaryKey)
        for one in each.expressions
    ]


def _check_keys(columns: list[Column], layout: dict[str, Any], tree: exp.Create) -> None:
    names = [each.name for each in columns]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise RedshiftError(f'column "{name}" specified more than once')
    for kind, keys in (
        ("distkey", [layout["distkey"]] if layout["distkey"] else []),
        ("sortkey", layout["sortkeys"]),
        ("key", _primary_key(tree)),
    ):
        if absent := [key for key in keys if key not in names]:
            raise RedshiftError(
                f'{kind} column "{absent[0]}" not found in the columns definition'
                if kind != "key"
                else f'column "{absent[0]}" named in key does not exist'
            )


def _create_table_as(session: Session, tree: exp.Create, text: str) -> int:
    schema, name = _place(session, tree, tree.this)
    if relation_exists(session.connection, schema, name):
        raise RedshiftError(f'Relation "{name}" already exists')
    if not isinstance(tree.expression, exp.Query):
        raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")
    sql = queries.query(session, tree.expression, text).sql(dialect="duckdb")
    rows = session.connection.execute(
        f"CREATE {'TEMP ' if not schema else ''}TABLE {_identifier(schema, name)} AS {sql}"
    ).fetchall()[0][0]
    if schema:
        layout = _layout(tree)
        kinds = column_types(session.connection, schema, name)
        columns = [
            Column(
                column,
                of_duckdb(kind),
                distkey=column == layout["distkey"],
                sortkey=layout["sortkeys"].index(column) + 1 if column in layout["sortkeys"] else 0,
            )
            for column, kind in kinds.items()
        ]
        redshift_database.remember(
            session.connection, schema, name, columns, layout["diststyle"], layout["sortstyle"]
        )
        redshift_rights.made(session.connection, session.user, schema, name)
    return int(rows)


def _create_view(session: Session, tree: exp.Create, text: str) -> int:
    schema, name = _place(
        session, tree, tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    )
    if tree.args.get("replace") and relation_exists(session.connection, schema, name):
        session.rights.change(schema, name)
    else:
        redshift_rights.made(session.connection, session.user, schema, name)
    if tree.args.get("no_schema_binding"):
        late_views.create(session.connection, schema, name, tree, text)
        return 0
    query = queries.query(session, tree.expression, text)
    if any(table.db == "temp" for table in query.find_all(exp.Table)):
        raise RedshiftError(
            "local_aws does not do views over system views, temporary or external tables"
        )
    verb = "CREATE OR REPLACE VIEW" if tree.args.get("replace") else "CREATE VIEW"
    session.connection.execute(
        f"{verb} {_identifier(schema, name)} AS {query.sql(dialect='duckdb')}"
    )
    late_views.forget(session.connection, schema, name)
    return 0


def drop(session: Session, tree: exp.Drop, _text: str) -> int:
    """A table, view or schema gone."""
    for table in tree.args.get("tables") or [tree.this]:
        _drop_one(session, tree, table)
    return 0


def _drop_one(session: Session, tree: exp.Drop, table: exp.Table) -> None:
    cascade = " CASCADE" if tree.args.get("cascade") else ""
    if tree.kind == "SCHEMA":
        name = table.name or table.db
        if not schema_exists(session.connection, name):
            if tree.args.get("exists"):
                return
            raise RedshiftError(f'schema "{name}" does not exist')
        if not cascade and any(
            row[0] == name
            for row in session.connection.execute(
                "SELECT schema_name FROM duckdb_tables()"
            ).fetchall()
        ):
            raise RedshiftError(f"cannot drop schema {name} because other objects depend on it")
        session.rights.change(name)
        session.connection.execute(f"DROP SCHEMA {quote(name)}{cascade}")
        late_views.forget(session.connection, name)
        redshift_rights.dropped(session.connection, name)
        session.connection.execute(
            "DELETE FROM local_aws.external_schemas WHERE schema_name = ?", [name]
        )
        redshift_database.forget(session.connection, name)
        return
    if tree.kind not in ("TABLE", "VIEW"):
        raise RedshiftError(f"local_aws does not do DROP {tree.kind}")
    try:
        schema, name = session.target(table)
    except RedshiftError:
        if tree.args.get("exists"):
            return
        raise RedshiftError(f'{tree.kind.capitalize()} "{table.name}" does not exist') from None
    session.rights.change(schema, name)
    session.connection.execute(f"DROP {tree.kind} {_identifier(schema, name)}{cascade}")
    late_views.forget(session.connection, schema, name)
    redshift_rights.dropped(session.connection, schema, name)
    redshift_database.forget(session.connection, schema, name)


def alter(session: Session, tree: exp.Alter, text: str) -> int:
    """A table renamed, or a column added, dropped or renamed."""
    schema, name = session.mine(tree.this)
    if not schema or tree.kind != "TABLE" or len(tree.args["actions"]) != 1:
        raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")
    action, run, noted = (
        tree.args["actions"][0],
        session.connection.execute,
        "WHERE schema_name = ? AND table_name = ?",
    )
    where = [schema, name]
    if isinstance(action, exp.AlterRename):
        new = action.this.name
        if relation_exists(session.connection, schema, new):
            raise RedshiftError(f'Relation "{new}" already exists')
        run(f"ALTER TABLE {_identifier(schema, name)} RENAME TO {quote(new)}")
        redshift_rights.renamed(session.connection, schema, name, new)
        for each in ("tables", "columns"):
            run(f"UPDATE local_aws.{each} SET table_name = ? {noted}", [new, *where])
    elif isinstance(action, exp.ColumnDef):
        column, _ = _column(session, action, {"distkey": "", "sortkeys": []}, f"{schema}.{name}")
        default = f" DEFAULT {column.default}" if column.default else ""
        if column.not_null and not default:
            raise RedshiftError(
                "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression"
            )
        run(
            f"ALTER TABLE {_identifier(schema, name)} ADD COLUMN {quote(column.name)}"
            f" {column.type.duckdb}{default}"
        )
        redshift_database.add_column(
            session.connection,
            schema,
            name,
            column,
            1 + len(redshift_database.definitions(session.connection, schema, name)),
        )
    elif isinstance(action, exp.RenameColumn):
        run(
            f"ALTER TABLE {_identifier(schema, name)} RENAME COLUMN {quote(action.this.name)} TO"
            f" {quote(action.args['to'].name)}"
        )
        run(
            f"UPDATE local_aws.columns SET column_name = ? {noted} AND column_name = ?",
            [action.args["to"].name, *where, action.this.name],
        )
    elif isinstance(action, exp.Drop) and action.kind == "COLUMN":
        dropped = (action.args.get("tables") or [action.this])[0].name
        run(f"ALTER TABLE {_identifier(schema, name)} DROP COLUMN {quote(dropped)}")
        run(f"DELETE FROM local_aws.columns {noted} AND column_name = ?", [*where, dropped])
    else:
        raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")
    return 0


def truncate(session: Session, tree: exp.TruncateTable, _text: str) -> int:
    """The table emptied, and everything before it in the transaction committed, as Redshift
    does.
    """
    schema, name = session.mine(tree.expressions[0])
    session.connection.execute(f"DELETE FROM {_identifier(schema, name)}")
    session.connection.execute("COMMIT")
    session.connection.execute("BEGIN")
    return 0


def create_schema(session: Session, text: str) -> int:
    """A schema."""
    found = re.fullmatch(
        rf"CREATE\s+SCHEMA\s+(IF\s+NOT\s+EXISTS\s+)?({NAME})(?:\s+AUTHORIZATION\s+({NAME}))?(?:\s+QUOTA\s+.*)?",
        text,
        re.IGNORECASE | re.DOTALL,
    )
    if not found:
        raise RedshiftError('syntax error at or near "SCHEMA"')
    name = folded(found[2])
    if schema_exists(session.connection, name):
        if found[1]:
            return 0
        raise RedshiftError(f'Schema "{name}" already exists')
    session.rights.create_schema(session.database.name)
    session.connection.execute(f"CREATE SCHEMA {quote(name)}")
    redshift_rights.made(session.connection, session.user, name)
    return 0


def comment(session: Session, text: str) -> int:
    """A comment on a table, a view or a column."""
    found = re.fullmatch(
        rf"COMMENT\s+ON\s+(TABLE|VIEW|COLUMN)\s+({NAME}(?:\.{NAME})*)\s+IS\s+(NULL|'(?:[^'\\]|''|\\.)*')",
        text,
        re.IGNORECASE | re.DOTALL,
    )
    if not found:
        raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")
    parts = [folded(part) for part in re.findall(r'"[^"]+"|\w+', found[2])]
    column = parts.pop() if found[1].upper() == "COLUMN" else ""
    schema, name = (parts[0], parts[1]) if len(parts) > 1 else (session.schema, parts[0])
    if not relation_exists(session.connection, schema, name):
        raise RedshiftError(f'relation "{name}" does not exist')
    session.rights.change(schema, name)
    if column and column not in column_types(session.connection, schema, name):
        raise RedshiftError(f'column "{column}" of relation "{name}" does not exist')
    words = (
        re.sub(r"\\(.)", r"\1", found[3]) if found[3].upper() != "NULL" else "NULL"
    )  # Redshift reads a backslash as an escape
    session.connection.execute(
        f"COMMENT ON {found[1]} {_identifier(schema, name)}{f'.{quote(column)}' if column else ''}"
        f" IS {words}"
    )
    return 0


RUNS: dict[type[exp.Expr], Callable[[Session, Any, str], int]] = {
    exp.Create: create,
    exp.Drop: drop,
    exp.Alter: alter,
    exp.TruncateTable: truncate,
}
