"""Who may do what inside a Redshift database: users, roles, owners and grants, asked before every
statement.

https://docs.aws.amazon.com/redshift/latest/dg/r_Privileges.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_aws.redshift.sql import RedshiftError

if TYPE_CHECKING:
    import duckdb

    from local_aws.principal import Principal

REMEMBERED = (
    (
        "CREATE TABLE IF NOT EXISTS local_aws.users (id INTEGER, name VARCHAR, superuser BOOLEAN,"
        " password VARCHAR)"
    ),
    "CREATE TABLE IF NOT EXISTS local_aws.roles (id INTEGER, name VARCHAR, owner VARCHAR)",
    "CREATE TABLE IF NOT EXISTS local_aws.members (kind VARCHAR, name VARCHAR, role VARCHAR)",
    (
        "CREATE TABLE IF NOT EXISTS local_aws.owners (schema_name VARCHAR, relation_name VARCHAR,"
        " owner VARCHAR)"
    ),
    """CREATE TABLE IF NOT EXISTS local_aws.grants (
        scope VARCHAR, schema_name VARCHAR, relation_name VARCHAR, privilege VARCHAR, kind VARCHAR,
        name VARCHAR)""",
    """CREATE TABLE IF NOT EXISTS local_aws.column_grants (
        schema_name VARCHAR, relation_name VARCHAR, column_name VARCHAR, privilege VARCHAR,
        kind VARCHAR, name VARCHAR)""",
    (
        "CREATE TABLE IF NOT EXISTS local_aws.rls_policies (name VARCHAR, columns VARCHAR,"
        " predicate VARCHAR, owner VARCHAR)"
    ),
    """CREATE TABLE IF NOT EXISTS local_aws.rls_attached (
        policy VARCHAR, schema_name VARCHAR, relation_name VARCHAR, kind VARCHAR, name VARCHAR,
        grantor VARCHAR)""",
    (
        "CREATE TABLE IF NOT EXISTS local_aws.rls_relations (schema_name VARCHAR, relation_name"
        " VARCHAR, conjunction VARCHAR)"
    ),
    (
        "CREATE TABLE IF NOT EXISTS local_aws.defaults (owner VARCHAR, schema_name VARCHAR,"
        " privilege VARCHAR, kind VARCHAR, name VARCHAR)"
    ),
)
FIRST_USER_ID = 100
EVERYONE_MAY = {
    ("SCHEMA", "public", "", "USAGE"),
    ("SCHEMA", "public", "", "CREATE"),
    ("DATABASE", "", "", "TEMP"),
}
# The roles of a user, and those they were granted in turn
IDENTITIES = """WITH RECURSIVE held(kind, name) AS (
    SELECT 'user', ? UNION SELECT 'public', 'public'
    UNION SELECT 'role', m.role FROM local_aws.members m JOIN held h
        ON m.kind = h.kind AND m.name = h.name)
SELECT kind, name FROM held"""


def user_name(principal: Principal, administrator: str) -> str:
    """The database user of an IAM identity: `IAM:ann`, `IAMR:analyst`; the stand-in's own engines
    are the administrator.

    https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/API_GetCredentials.html
    """
    if principal.type == "AWSService":
        return administrator
    return (
        f"IAMR:{principal.role_name}"
        if principal.role_arn
        else f"IAM:{principal.user_name or 'root'}"
    )


def add_user(
    connection: duckdb.DuckDBPyConnection, name: str, *, superuser: bool = False, password: str = ""
) -> None:
    """Make a user unless there is one of that name; one that is to be superuser becomes it."""
    if user_exists(connection, name):
        if superuser:
            connection.execute("UPDATE local_aws.users SET superuser = true WHERE name = ?", [name])
        return
    connection.execute(
        f"INSERT INTO local_aws.users SELECT coalesce(max(id) + 1, {FIRST_USER_ID}), ?, ?, ? FROM"
        " local_aws.users",
        [name, superuser, password],
    )


def user_exists(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the database has the user."""
    return bool(
        connection.execute("SELECT 1 FROM local_aws.users WHERE name = ?", [name]).fetchall()
    )


def role_exists(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the database has the role."""
    return bool(
        connection.execute("SELECT 1 FROM local_aws.roles WHERE name = ?", [name]).fetchall()
    )


@dataclass(frozen=True)
class Rights:
    """What one user may do."""

    connection: duckdb.DuckDBPyConnection
    user: str

    @property
    def superuser(self) -> bool:
        """Whether the user may do everything."""
        found = self.connection.execute(
            "SELECT superuser FROM local_aws.users WHERE name = ?", [self.user]
        ).fetchall()
        return bool(found) and bool(found[0][0])

    def owns(self, schema: str, relation: str = "") -> bool:
        """Whether a schema, or a relation in it, is the user's, or the user is a superuser."""
        return self.superuser or owner(self.connection, schema, relation) == self.user

    def use(self, schema: str) -> None:
        """Return when the user may see what is in a schema, else raise RedshiftError."""
        if not self.owns(schema) and not self._granted("SCHEMA", schema, "", "USAGE"):
            raise RedshiftError(f"permission denied for schema {schema}")

    def touch(self, schema: str, relation: str, privilege: str) -> None:
        """Return when the user has a privilege on a relation, else raise RedshiftError; temporary
        ones (schema "") are the user's.
        """
        if not schema or self.owns(schema, relation):
            return
        self.use(schema)
        held = self._granted("RELATION", schema, relation, privilege) or self._granted(
            "TABLES", schema, "", privilege
        )
        if not held:
            raise RedshiftError(f"permission denied for relation {relation}")

    def readable(self, schema: str, relation: str, columns: dict[str, str]) -> set[str]:
        """The columns of a relation that the user may read, all or those granted one by one; raises
        RedshiftError where it is none.
        """
        try:
            self.touch(schema, relation, "SELECT")
        except RedshiftError:
            sql = (
                f"SELECT DISTINCT column_name FROM local_aws.column_grants g JOIN ({IDENTITIES}) i"
                " ON i.kind = g.kind AND i.name = g.name WHERE g.schema_name = ? AND"
                " g.relation_name = ? AND g.privilege = 'SELECT'"
            )
            found = {
                str(row[0])
                for row in self.connection.execute(sql, [self.user, schema, relation]).fetchall()
            }
            self.use(schema)
            if not found & set(columns):
                raise
            return found & set(columns)
        return set(columns)

    def create_in(self, schema: str) -> None:
        """Return when the user may make something in a schema, else raise RedshiftError."""
        if schema and not self.owns(schema) and not self._granted("SCHEMA", schema, "", "CREATE"):
            raise RedshiftError(f"permission denied for schema {schema}")

    def create_schema(self, database: str) -> None:
        """Return when the user may make schemas, else raise RedshiftError."""
        if not self.superuser and not self._granted("DATABASE", "", "", "CREATE"):
            raise RedshiftError(f"permission denied for database {database}")

    def change(self, schema: str, relation: str = "") -> None:
        """Return when the user may alter, drop or comment something, else raise RedshiftError."""
        if (schema or not relation) and not self.owns(schema, relation):
            raise RedshiftError(
                f"must be owner of relation {relation}"
                if relation
                else f"must be owner of schema {schema}"
            )

    def administer(self, what: str) -> None:
        """Return when the user is a superuser, else raise RedshiftError."""
        if not self.superuser:
            raise RedshiftError(f"must be superuser to {what}")

    def _granted(self, scope: str, schema: str, relation: str, privilege: str) -> bool:
        if (scope, schema, relation, privilege) in EVERYONE_MAY:
            return True
        sql = (
            f"SELECT 1 FROM local_aws.grants g JOIN ({IDENTITIES}) i ON i.kind = g.kind AND i.name"
            " = g.name WHERE g.scope = ? AND g.schema_name = ? AND g.relation_name = ? AND"
            " g.privilege = ? LIMIT 1"
        )
        return bool(
            self.connection.execute(sql, [self.user, scope, schema, relation, privilege]).fetchall()
        )


def owner(connection: duckdb.DuckDBPyConnection, schema: str, relation: str = "") -> str:
    """Who made a schema or a relation, "" where nobody did."""
    found = connection.execute(
        "SELECT owner FROM local_aws.owners WHERE schema_name = ? AND relation_name = ?",
        [schema, relation],
    ).fetchall()
    return str(found[0][0]) if found else ""


def made(connection: duckdb.DuckDBPyConnection, user: str, schema: str, relation: str = "") -> None:
    """Note who made something, and give it the privileges that its maker set for what comes (ALTER
    DEFAULT PRIVILEGES).
    """
    if not schema:
        return
    dropped(connection, schema, relation, keep_contents=True)
    connection.execute("INSERT INTO local_aws.owners VALUES (?, ?, ?)", [schema, relation, user])
    if relation:
        connection.execute(
            "INSERT INTO local_aws.grants SELECT 'RELATION', ?, ?, privilege, kind, name FROM"
            " local_aws.defaults WHERE owner = ? AND schema_name IN ('', ?)",
            [schema, relation, user, schema],
        )


def dropped(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    relation: str = "",
    *,
    keep_contents: bool = False,
) -> None:
    """Forget owner and grants of a relation, and what protects it, or of a schema with all in
    it.
    """
    for noted in ("owners", "grants", "column_grants", "rls_attached", "rls_relations"):
        connection.execute(
            f"DELETE FROM local_aws.{noted} WHERE schema_name = ? AND (relation_name = ? OR (? = ''"
            " AND NOT ?))",
            [schema, relation, relation, keep_contents],
        )


def renamed(connection: duckdb.DuckDBPyConnection, schema: str, relation: str, new: str) -> None:
    """Let owner and grants of a relation follow its new name."""
    for noted in ("owners", "grants", "column_grants", "rls_attached", "rls_relations"):
        connection.execute(
            f"UPDATE local_aws.{noted} SET relation_name = ? WHERE schema_name = ? AND"
            " relation_name = ?",
            [new, schema, relation],
        )
