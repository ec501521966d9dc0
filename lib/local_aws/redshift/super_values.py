"""SUPER: `details.provider`, `items[0].name` and `FROM t, t.items AS i` as DuckDB's JSON.

https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from local_aws.engines.exact_sql import call, cast, replace, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MACROS = (
    # a null inside a document is NULL, as Redshift's lax navigation has it
    "super_get(document, path) AS nullif(json_extract(document, path), 'null'::JSON)",
    (
        "super_text(document) AS CASE WHEN json_type(document) = 'VARCHAR' THEN"
        " json_extract_string(document, '$') END"
    ),
    (
        "super_number(document) AS CASE WHEN json_type(document) IN ('BIGINT', 'UBIGINT', 'DOUBLE')"
        " THEN document::double END"
    ),
    (
        "super_elements(document) AS CASE WHEN json_type(document) = 'ARRAY' THEN document::JSON[]"
        " ELSE [document] END"
    ),
    "can_json_parse(x) AS json_valid(x) AND x <> ''",
    "json_serialize(x) AS coalesce(x::varchar, 'null')",
    (
        "json_typeof(x) AS CASE WHEN x IS NULL THEN NULL WHEN json_type(x) IN ('OBJECT', 'ARRAY',"
        " 'BOOLEAN', 'NULL') THEN lower(json_type(x)) WHEN json_type(x) = 'VARCHAR' THEN 'string'"
        " ELSE 'number' END"
    ),
    "get_array_length(x) AS json_array_length(x)::bigint",
    "is_array(x) AS coalesce(json_type(x) = 'ARRAY', false)",
    "is_object(x) AS coalesce(json_type(x) = 'OBJECT', false)",
)
FUNCTIONS = frozenset(
    ["can_json_parse", "json_serialize", "json_typeof", "get_array_length", "is_array", "is_object"]
)
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike)
OPERATORS = (*COMPARISONS, exp.In, exp.Between, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
NUMBERS = ("TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE")
TEXTS = ("VARCHAR", "TEXT", "CHAR", "NCHAR", "NVARCHAR")


def navigate(tree: exp.Expr, columns: dict[str, set[str]]) -> None:
    """Turn paths into documents to calls of DuckDB; `columns` are those of each table in the query,
    by its alias.
    """
    unnested = {each.alias for each in [*_unnest(tree)]}
    for scope in traverse_scope(tree):
        for column in list(scope.columns):
            if column.find_ancestor(exp.Table) is None:
                _navigate(column, scope, columns, unnested)


def is_super(node: exp.Expr) -> bool:
    """Whether a typed node is a document."""
    return type_name(node) in ("SUPER", "JSON")


def rewrite_operator(node: exp.Expr) -> None:
    """Let a document take part in a comparison or a sum as the text or number that it holds, NULL
    where it holds another kind.
    """
    sides = [("this", node.this), ("expression", node.args.get("expression"))]
    if isinstance(node, exp.In):
        sides = [("this", node.this), ("", next(iter(node.expressions), None))]
    elif isinstance(node, exp.Between):
        sides = [("this", node.this), ("", node.args["low"])]
    known = [(name, each) for name, each in sides if isinstance(each, exp.Expr)]
    documents = [(name, each) for name, each in known if is_super(each)]
    others = [each for _, each in known if not is_super(each)]
    if not documents or (not others and isinstance(node, COMPARISONS)):
        return
    kind = type_name(others[0]) if others else "DOUBLE"
    name = "super_text" if kind in TEXTS else "super_number" if kind in NUMBERS else ""
    for place, each in documents:
        if place and name:
            made = call(name, each.copy())
            made.type = exp.DataType.build("VARCHAR" if name == "super_text" else "DOUBLE")
            node.set(place, made)


def rewrite_cast(node: exp.Cast) -> None:
    """A document cast to a text is the text it holds; a text cast to a document is one that holds
    the text.
    """
    if node.to.this.name == "SUPER":
        if type_name(node.this) in TEXTS:
            replace(node, cast(call("to_json", node.this.copy()), "JSON"))
        else:
            replace(node, cast(node.this.copy(), "JSON"))
    elif node.to.this in exp.DataType.TEXT_TYPES:
        node.set("this", call("json_extract_string", node.this.copy(), exp.Literal.string("$")))


def _unnest(tree: exp.Expr) -> Iterator[exp.Lateral]:
    """FROM t, t.items AS i: a row for each element."""
    for unnest in list(tree.find_all(exp.Unnest)):
        names = unnest.args["alias"].args.get("columns") or [unnest.args["alias"].this]
        element = exp.alias_(
            exp.Anonymous(
                this="unnest", expressions=[call("super_elements", unnest.expressions[0].copy())]
            ),
            names[0].name,
            quoted=True,
        )
        subquery = exp.Subquery(this=exp.Select(expressions=[element]))
        lateral = exp.Lateral(
            this=subquery, alias=exp.TableAlias(this=exp.to_identifier(names[0].name, quoted=True))
        )
        unnest.replace(lateral)
        yield lateral


def _navigate(
    column: exp.Column, scope: Scope, columns: dict[str, set[str]], unnested: set[str]
) -> None:
    parts = [part.name for part in column.parts]
    base, path = _base(parts, scope, columns, unnested)
    outermost: exp.Expr = column
    steps = [f'."{each}"' for each in path]
    while (step := _step(outermost)) is not None:
        steps.append(step)
        outermost = outermost.parent or outermost
    if not steps:
        if base != parts:
            column.replace(_column(base))
        return
    document = call("super_get", _column(base), exp.Literal.string("$" + "".join(steps)))
    typed = exp.Cast(this=document, to=exp.DataType.build("SUPER", dialect="redshift"))
    named = isinstance(outermost.parent, exp.Select) and outermost.arg_key == "expressions"
    outermost.replace(exp.alias_(typed, parts[-1], quoted=True) if named else typed)


def _base(
    parts: list[str], scope: Scope, columns: dict[str, set[str]], unnested: set[str]
) -> tuple[list[str], list[str]]:
    """The column among the names of a path, and the rest of the path."""
    sources = _sources(scope)
    if len(parts) == 1:
        return parts, []
    if parts[0] in unnested:
        return [parts[0], parts[0]], parts[1:]
    if parts[0] in sources:
        return parts[:2], parts[2:]
    if any(parts[0] in columns.get(each, set()) for each in sources):
        return parts[:1], parts[1:]
    if len(parts) > 2 and parts[1] in sources:  # schema.table.column
        return parts[1:3], parts[3:]
    return parts, []


def _sources(scope: Scope) -> set[str]:
    """What a name in this query may stand for, that of the queries around it too."""
    found: set[str] = set()
    around: Scope | None = scope
    while around is not None:
        found |= set(around.sources)
        around = around.parent
    return found


def _step(node: exp.Expr) -> str | None:
    """The step of a path that is taken from a node by the expression around it."""
    parent = node.parent
    if (
        isinstance(parent, exp.Dot)
        and parent.this is node
        and isinstance(parent.expression, exp.Identifier)
    ):
        return f'."{parent.expression.name}"'
    if (
        isinstance(parent, exp.Bracket)
        and parent.this is node
        and isinstance(parent.expressions[0], exp.Literal)
    ):
        key = parent.expressions[0]
        return f'."{key.name}"' if key.is_string else f"[{key.name}]"
    return None


def _column(parts: list[str]) -> exp.Column:
    names = [exp.to_identifier(each, quoted=True) for each in parts]
    return exp.Column(this=names[-1], table=names[-2] if len(names) > 1 else None)
