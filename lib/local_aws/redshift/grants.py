"""CREATE USER, CREATE ROLE, GRANT and REVOKE.

https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from local_aws.redshift.database import column_types, relation_exists, schema_exists
from local_aws.redshift.rights import add_user, owner, role_exists, user_exists
from local_aws.redshift.sql import RedshiftError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.redshift.session import Session

NAME = r'(?:"[^"]+"|[\w$]+)'
PRIVILEGES = {
    "RELATION": ("SELECT", "INSERT", "UPDATE", "DELETE", "DROP", "REFERENCES", "ALTER", "TRUNCATE"),
    "SCHEMA": ("USAGE", "CREATE", "ALTER", "DROP"),
    "DATABASE": ("CREATE", "TEMP", "TEMPORARY", "USAGE"),
}
PRIVILEGES["TABLES"] = PRIVILEGES["RELATION"]
GRANT = re.compile(
    r"(?P<verb>GRANT|REVOKE)\s+(?P<what>.+?)\s+(?P<on>ON|FOR)\s+(?P<target>.+?)\s+(?:TO|FROM)\s+(?P<who>.+)",
    re.IGNORECASE | re.DOTALL,
)
ROLES = re.compile(
    r"(?P<verb>GRANT|REVOKE)\s+ROLE\s+(?P<roles>.+?)\s+(?:TO|FROM)\s+(?P<who>.+)",
    re.IGNORECASE | re.DOTALL,
)
DEFAULTS = re.compile(
    rf"ALTER\s+DEFAULT\s+PRIVILEGES(?:\s+FOR\s+USER\s+(?P<user>{NAME}))?(?:\s+IN\s+SCHEMA\s+(?P<schemas>.+?))?\s+(?P<verb>GRANT|REVOKE)\s+(?P<what>.+?)\s+ON\s+TABLES\s+(?:TO|FROM)\s+(?P<who>.+)",
    re.IGNORECASE | re.DOTALL,
)
USER = re.compile(
    rf"CREATE\s+USER\s+(?P<name>{NAME})\s+(?:WITH\s+)?PASSWORD\s+(?:(?P<disable>DISABLE)|'(?P<password>[^']*)')(?P<super>\s+CREATEUSER)?",
    re.IGNORECASE,
)
Grant = tuple[str, str, str]  # scope, schema, relation


def run(session: Session, text: str) -> None:
    """Do one of these statements; raises RedshiftError."""
    for pattern, do in STATEMENTS:
        if found := pattern.fullmatch(text):
            return do(session, found)
    raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")


def identifiers(text: str) -> list[str]:
    """`a, "B c"` as [a, b c]; Redshift folds quoted names too, but user names keep their case
    (`IAMR:Analyst`).
    """
    return [
        each.strip().strip('"') if ":" in each else each.strip().strip('"').lower()
        for each in re.findall(rf"{NAME}", text)
    ]


def encoded(password: str, user: str) -> str:
    """A password as PostgreSQL keeps it: md5 of password and user name."""
    return "md5" + hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()


def grantees(session: Session, text: str) -> list[tuple[str, str]]:
    """(user, role or public; name) of each in a list; raises RedshiftError for one that is not
    there.
    """
    text = re.sub(r"\s+WITH\s+(GRANT|ADMIN)\s+OPTION\s*$", "", text, flags=re.IGNORECASE)
    found = []
    for each in text.split(","):
        kind, name = "user", each.strip()
        if word := re.match(r"(ROLE|GROUP|USER)\s+(?=\S)", name, re.IGNORECASE):
            kind, name = word[1].lower(), name[word.end() :]
        name = identifiers(name)[0]
        if kind == "user" and name == "public":
            kind = "public"
        if kind == "group":
            raise RedshiftError("local_aws does not have groups: grant to roles")
        exists = {"user": user_exists, "role": role_exists}.get(kind)
        if exists and not exists(session.connection, name):
            raise RedshiftError(f'{kind} "{name}" does not exist')
        found.append((kind, name))
    return found


def _targets(session: Session, on: str, text: str) -> list[Grant]:
    """What a GRANT is about."""
    if on.upper() == "FOR":
        found = re.fullmatch(
            rf"TABLES\s+IN\s+SCHEMA\s+({NAME})(\s+DATABASE\s+{NAME})?", text, re.IGNORECASE
        )
        if not found:
            raise RedshiftError("local_aws does scoped permissions FOR TABLES IN SCHEMA name only")
        return [("TABLES", _schema(session, identifiers(found[1])[0]), "")]
    if found := re.fullmatch(
        r"(SCHEMA|DATABASE|ALL\s+TABLES\s+IN\s+SCHEMA)\s+(.+)", text, re.IGNORECASE | re.DOTALL
    ):
        names = identifiers(found[2])
        if found[1].upper() == "DATABASE":
            return [("DATABASE", "", "")]
        if found[1].upper() == "SCHEMA":
            return [("SCHEMA", _schema(session, name), "") for name in names]
        return [
            ("RELATION", _schema(session, name), each)
            for name in names
            for each in _relations(session, name)
        ]
    if re.match(r"(FUNCTION|PROCEDURE|LANGUAGE|DATASHARE|MODEL|EXTERNAL)\b", text, re.IGNORECASE):
        raise RedshiftError(
            f"local_aws does not do privileges on {text.split(maxsplit=1)[0].upper()}"
        )
    found_relations = []
    for each in re.sub(r"^TABLE\s+", "", text, flags=re.IGNORECASE).split(","):
        schema, name = session.names_of(each.strip())
        if not relation_exists(session.connection, schema, name):
            raise RedshiftError(f'relation "{name}" does not exist')
        found_relations.append(("RELATION", schema, name))
    return found_relations


def _schema(session: Session, name: str) -> str:
    if not schema_exists(session.connection, name):
        raise RedshiftError(f'schema "{name}" does not exist')
    return name


def _relations(session: Session, schema: str) -> list[str]:
    rows = session.connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? UNION SELECT view_name FROM"
        " duckdb_views() WHERE schema_name = ? ORDER BY 1",
        [schema, schema],
    ).fetchall()
    return [str(row[0]) for row in rows]


def _privileges(text: str, scope: str) -> list[str]:
    known = PRIVILEGES[scope]
    if re.fullmatch(r"ALL(\s+PRIVILEGES)?", text, re.IGNORECASE):
        return [each for each in known if each != "TEMPORARY"]
    wanted = [each.strip().upper() for each in text.split(",")]
    if wrong := [each for each in wanted if each not in known]:
        raise RedshiftError(f'syntax error at or near "{wrong[0]}"')
    return ["TEMP" if each == "TEMPORARY" else each for each in wanted]


def _grant(session: Session, found: re.Match[str]) -> None:
    whos = grantees(session, found["who"])
    if "(" in found["what"]:
        _grant_columns(session, found, whos)
        return
    for scope, schema, relation in _targets(session, found["on"], found["target"]):
        if scope in ("DATABASE", "TABLES"):
            session.rights.administer("grant this")
        elif not session.rights.owns(schema, relation):
            raise RedshiftError(
                "permission denied for"
                f" {f'relation {relation}' if relation else f'schema {schema}'}"
            )
        for privilege in _privileges(found["what"], scope):
            for who in whos:
                row = [scope, schema, relation, privilege, *who]
                _set(
                    session,
                    "grants",
                    "scope schema_name relation_name privilege kind name",
                    row,
                    found["verb"],
                )


def _grant_columns(session: Session, found: re.Match[str], whos: list[tuple[str, str]]) -> None:
    """GRANT SELECT (a, b) ON table: each column by itself."""
    listed = re.fullmatch(r"\s*SELECT\s*\((.+)\)\s*", found["what"], re.IGNORECASE | re.DOTALL)
    if not listed:
        raise RedshiftError("local_aws does SELECT on single columns only")
    for scope, schema, relation in _targets(session, found["on"], found["target"]):
        if scope != "RELATION":
            raise RedshiftError('syntax error at or near "("')
        if not session.rights.owns(schema, relation):
            raise RedshiftError(f"permission denied for relation {relation}")
        known = column_types(session.connection, schema, relation)
        for column in identifiers(listed[1]):
            if column not in known:
                raise RedshiftError(f'column "{column}" of relation "{relation}" does not exist')
            for who in whos:
                row = [schema, relation, column, "SELECT", *who]
                _set(
                    session,
                    "column_grants",
                    "schema_name relation_name column_name privilege kind name",
                    row,
                    found["verb"],
                )


def _grant_roles(session: Session, found: re.Match[str]) -> None:
    whos = grantees(session, found["who"])
    for each in found["roles"].split(","):
        name = identifiers(re.sub(r"^\s*ROLE\s+", "", each, flags=re.IGNORECASE))[0]
        if not role_exists(session.connection, name):
            raise RedshiftError(f'role "{name}" does not exist')
        found_owner = session.connection.execute(
            "SELECT owner FROM local_aws.roles WHERE name = ?", [name]
        ).fetchall()
        if found_owner[0][0] != session.user:
            session.rights.administer("grant this role")
        for who in whos:
            _set(session, "members", "kind name role", [*who, name], found["verb"])


def _grant_defaults(session: Session, found: re.Match[str]) -> None:
    user = identifiers(found["user"])[0] if found["user"] else session.user
    if user != session.user:
        session.rights.administer("set default privileges of other users")
    for schema in identifiers(found["schemas"]) if found["schemas"] else [""]:
        for privilege in _privileges(found["what"], "RELATION"):
            for who in grantees(session, found["who"]):
                row = [user, schema and _schema(session, schema), privilege, *who]
                _set(
                    session, "defaults", "owner schema_name privilege kind name", row, found["verb"]
                )


def _set(session: Session, table: str, columns: str, row: list[str], verb: str) -> None:
    """Add a row that is not there yet, or remove it."""
    same = " AND ".join(f"{each} = ?" for each in columns.split())
    session.connection.execute(f"DELETE FROM local_aws.{table} WHERE {same}", row)
    if verb.upper() == "GRANT":
        session.connection.execute(
            f"INSERT INTO local_aws.{table} VALUES ({', '.join('?' * len(row))})", row
        )


def _create_user(session: Session, found: re.Match[str]) -> None:
    session.rights.administer("create users")
    name = identifiers(found["name"])[0]
    if user_exists(session.connection, name):
        raise RedshiftError(f'user "{name}" already exists')
    password = "" if found["disable"] else encoded(found["password"], name)
    add_user(session.connection, name, superuser=bool(found["super"]), password=password)


def _create_role(session: Session, found: re.Match[str]) -> None:
    session.rights.administer("create roles")
    name = identifiers(found[1])[0]
    if role_exists(session.connection, name):
        raise RedshiftError(f'role "{name}" already exists')
    session.connection.execute(
        "INSERT INTO local_aws.roles SELECT coalesce(max(id) + 1, 100), ?, ? FROM local_aws.roles",
        [name, session.user],
    )


def _drop(session: Session, found: re.Match[str]) -> None:
    kind, name = found[1].lower(), identifiers(found[3])[0]
    session.rights.administer(f"drop {kind}s")
    if not (user_exists if kind == "user" else role_exists)(session.connection, name):
        if found[2]:
            return
        raise RedshiftError(f'{kind} "{name}" does not exist')
    if (
        kind == "user"
        and session.connection.execute(
            "SELECT 1 FROM local_aws.owners WHERE owner = ?", [name]
        ).fetchall()
    ):
        raise RedshiftError(f'user "{name}" cannot be dropped because some objects depend on it')
    for table in ("grants", "column_grants", "rls_attached", "members", "defaults"):
        session.connection.execute(
            f"DELETE FROM local_aws.{table} WHERE kind = ? AND name = ?", [kind, name]
        )
    session.connection.execute(f"DELETE FROM local_aws.{kind}s WHERE name = ?", [name])
    session.connection.execute(
        "DELETE FROM local_aws.members WHERE ? = 'role' AND role = ?", [kind, name]
    )


def _owner(session: Session, found: re.Match[str]) -> None:
    """ALTER TABLE or SCHEMA … OWNER TO."""
    schema, name = session.names_of(found[2])
    where = [identifiers(found[2])[0], ""] if found[1].upper() == "SCHEMA" else [schema, name]
    session.rights.administer("change owners")
    new = grantees(session, found[3])[0][1]
    if owner(session.connection, *where):
        session.connection.execute(
            "UPDATE local_aws.owners SET owner = ? WHERE schema_name = ? AND relation_name = ?",
            [new, *where],
        )


STATEMENTS: list[tuple[re.Pattern[str], Callable[[Session, re.Match[str]], None]]] = [
    (ROLES, _grant_roles),
    (GRANT, _grant),
    (DEFAULTS, _grant_defaults),
    (USER, _create_user),
    (re.compile(rf"CREATE\s+ROLE\s+({NAME})", re.IGNORECASE), _create_role),
    (
        re.compile(rf"DROP\s+(USER|ROLE)\s+(IF\s+EXISTS\s+)?({NAME})(?:\s+FORCE)?", re.IGNORECASE),
        _drop,
    ),
    (
        re.compile(
            rf"ALTER\s+(TABLE|SCHEMA)\s+({NAME}(?:\.{NAME})?)\s+OWNER\s+TO\s+({NAME})",
            re.IGNORECASE,
        ),
        _owner,
    ),
]
