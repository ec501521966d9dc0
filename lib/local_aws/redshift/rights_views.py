"""The system views that tell users, roles and what was granted to them.

https://docs.aws.amazon.com/redshift/latest/dg/svv_views.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

View = tuple[dict[str, str], list[list[Any]]]  # column -> DuckDB's type, rows
ID = """CASE kind WHEN 'user' THEN (SELECT id FROM local_aws.users u WHERE u.name = g.name)
    WHEN 'role' THEN (SELECT id FROM local_aws.roles r WHERE r.name = g.name) ELSE 0 END"""
# name -> (columns with types, the query over our notes)
VIEWS = {
    "svv_roles": (
        "role_id INTEGER, role_name VARCHAR, role_owner VARCHAR, external_id VARCHAR",
        "SELECT id, name, owner, NULL FROM local_aws.roles",
    ),
    "svv_user_info": (
        (
            "user_name VARCHAR, user_id INTEGER, createdb BOOLEAN, superuser BOOLEAN,"
            " catalog_update BOOLEAN, connection_limit VARCHAR, syslog_access VARCHAR,"
            " last_ddl_timestamp TIMESTAMP, session_timeout INTEGER, external_user_id VARCHAR"
        ),
        (
            "SELECT name, id, superuser, superuser, false, 'UNLIMITED', if(superuser,"
            " 'UNRESTRICTED', 'RESTRICTED'), NULL, 0, NULL FROM local_aws.users"
        ),
    ),
    "pg_user": (
        (
            "usename VARCHAR, usesysid INTEGER, usecreatedb BOOLEAN, usesuper BOOLEAN, usecatupd"
            " BOOLEAN, passwd VARCHAR, valuntil VARCHAR, useconfig VARCHAR"
        ),
        "SELECT name, id, superuser, superuser, false, '********', NULL, NULL FROM local_aws.users",
    ),
    "svv_user_grants": (
        (
            "user_id INTEGER, user_name VARCHAR, role_id INTEGER, role_name VARCHAR, admin_option"
            " BOOLEAN"
        ),
        (
            "SELECT u.id, u.name, r.id, r.name, false FROM local_aws.members m JOIN local_aws.users"
            " u ON u.name = m.name JOIN local_aws.roles r ON r.name = m.role WHERE m.kind = 'user'"
        ),
    ),
    "svv_role_grants": (
        "role_id INTEGER, role_name VARCHAR, granted_role_id INTEGER, granted_role_name VARCHAR",
        (
            "SELECT u.id, u.name, r.id, r.name FROM local_aws.members m JOIN local_aws.roles u ON"
            " u.name = m.name JOIN local_aws.roles r ON r.name = m.role WHERE m.kind = 'role'"
        ),
    ),
    "svv_schema_privileges": (
        (
            "namespace_name VARCHAR, privilege_type VARCHAR, identity_id INTEGER, identity_name"
            " VARCHAR, identity_type VARCHAR, admin_option BOOLEAN, privilege_scope VARCHAR"
        ),
        (
            f"SELECT schema_name, privilege, {ID}, name, kind, false, scope FROM local_aws.grants g"
            " WHERE scope IN ('SCHEMA', 'TABLES')"
        ),
    ),
    "svv_relation_privileges": (
        (
            "namespace_name VARCHAR, relation_name VARCHAR, privilege_type VARCHAR, identity_id"
            " INTEGER, identity_name VARCHAR, identity_type VARCHAR, admin_option BOOLEAN"
        ),
        (
            f"SELECT schema_name, relation_name, privilege, {ID}, name, kind, false FROM"
            " local_aws.grants g WHERE scope = 'RELATION'"
        ),
    ),
    "svv_column_privileges": (
        (
            "namespace_name VARCHAR, relation_name VARCHAR, column_name VARCHAR, privilege_type"
            " VARCHAR, identity_id INTEGER, identity_name VARCHAR, identity_type VARCHAR"
        ),
        (
            f"SELECT schema_name, relation_name, column_name, privilege, {ID}, name, kind FROM"
            " local_aws.column_grants g"
        ),
    ),
    "svv_rls_policy": (
        (
            "poldb VARCHAR, polname VARCHAR, polalias VARCHAR, polatts VARCHAR, polqual VARCHAR,"
            " polenabled BOOLEAN, polmodifiedby VARCHAR, polmodifiedtime TIMESTAMP"
        ),
        (
            "SELECT current_database(), name, 'rls_table', columns, predicate, true, owner, NULL"
            " FROM local_aws.rls_policies"
        ),
    ),
    "svv_rls_relation": (
        (
            "datname VARCHAR, relschema VARCHAR, relname VARCHAR, relkind VARCHAR, is_rls_on"
            " BOOLEAN, is_rls_datashare_on BOOLEAN, rls_conjunction_type VARCHAR"
        ),
        (
            "SELECT current_database(), schema_name, relation_name, 'table', true, false,"
            " lower(conjunction) FROM local_aws.rls_relations"
        ),
    ),
    "svv_rls_attached_policy": (
        (
            "relschema VARCHAR, relname VARCHAR, relkind VARCHAR, polname VARCHAR, grantor VARCHAR,"
            " grantee VARCHAR, granteekind VARCHAR, is_pol_on BOOLEAN, is_rls_on BOOLEAN,"
            " rls_conjunction_type VARCHAR"
        ),
        (
            "SELECT a.schema_name, a.relation_name, 'table', policy, grantor, a.name, kind, true,"
            " conjunction IS NOT NULL, lower(coalesce(conjunction, 'AND')) FROM"
            " local_aws.rls_attached a LEFT JOIN local_aws.rls_relations USING (schema_name,"
            " relation_name)"
        ),
    ),
    "svv_default_privileges": (
        (
            "schema_name VARCHAR, object_type VARCHAR, owner_id INTEGER, owner_name VARCHAR,"
            " owner_type VARCHAR, privilege_type VARCHAR, grantee_id INTEGER, grantee_name VARCHAR,"
            " grantee_type VARCHAR, admin_option BOOLEAN"
        ),
        (
            "SELECT nullif(schema_name, ''), 'RELATION', (SELECT id FROM local_aws.users u WHERE"
            f" u.name = g.owner), owner, 'user', privilege, {ID}, name, kind, false FROM"
            " local_aws.defaults g"
        ),
    ),
}


def rights_view(connection: duckdb.DuckDBPyConnection, name: str) -> View | None:
    """One of these views as it is now, or None when it is none of them."""
    if name not in VIEWS:
        return None
    listed, query = VIEWS[name]
    columns = dict(each.strip().split(" ", 1) for each in listed.split(","))
    return columns, [list(row) for row in connection.execute(query).fetchall()]
