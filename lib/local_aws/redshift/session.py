"""A session with a database: its connection, user, search path and settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_aws.redshift.database import relation_exists, schema_exists
from local_aws.redshift.rights import Rights
from local_aws.redshift.sql import RedshiftError, folded

if TYPE_CHECKING:
    from sqlglot import exp

    from local_aws.redshift.database import Database

# https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_ConfigurationRef.html and what PostgreSQL's
# clients ask for
SETTINGS = {
    "application_name": "",
    "client_encoding": "UTF8",
    "datestyle": "ISO, MDY",
    "enable_case_sensitive_identifier": "off",
    "extra_float_digits": "2",
    "query_group": "default",
    "search_path": '"$user", public',
    "server_version": "8.0.2",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "timezone": "UTC",
    "transaction_isolation": "serializable",
}


class Session:
    """A connection with its search path and temporary tables; statements.py runs statements in
    it.
    """

    def __init__(self, database: Database, user: str) -> None:
        self.database, self.connection, self.user = database, database.connect(), user
        self.schema, self.settings = "public", dict(SETTINGS)
        self.in_block = False  # whether other statements share the transaction

    @property
    def rights(self) -> Rights:
        """What the user of the session may do."""
        return Rights(self.connection, self.user)

    def has(self, owner: str, name: str) -> bool:
        """Whether there is a relation."""
        return relation_exists(self.connection, owner or self.schema, name) or (
            not owner and relation_exists(self.connection, "", name)
        )

    def schema_of(self, owner: str, name: str) -> str:
        """The schema of a relation, "" for a temporary one; raises RedshiftError when there is
        none.
        """
        if not owner and relation_exists(self.connection, "", name):
            return ""
        if not relation_exists(self.connection, owner or self.schema, name):
            raise RedshiftError(f'relation "{f"{owner}." if owner else ""}{name}" does not exist')
        return owner or self.schema

    def target(self, table: exp.Table) -> tuple[str, str]:
        """The schema and name of a table to be changed; raises RedshiftError."""
        if table.db and not schema_exists(self.connection, table.db):
            raise RedshiftError(f'schema "{table.db}" does not exist')
        return self.schema_of(table.db, table.name), table.name

    def mine(self, table: exp.Table, privilege: str = "") -> tuple[str, str]:
        """The schema and name of a relation that the user owns, or has a privilege on; raises
        RedshiftError.
        """
        schema, name = self.target(table)
        if privilege:
            self.rights.touch(schema, name, privilege)
        else:
            self.rights.change(schema, name)
        return schema, name

    def names_of(self, text: str) -> tuple[str, str]:
        """`"s"."t"` as (s, t), folded to lower case; the schema is the session's when it is not
        said.
        """
        parts = [folded(part) for part in re.findall(r'"[^"]+"|[^.\s]+', text)]
        return (parts[-2] if len(parts) > 1 else self.schema, parts[-1])
