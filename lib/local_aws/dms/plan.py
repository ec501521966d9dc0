"""What a full load will do: the mapping's tables as the source has them, and the files each
becomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_aws.dms import source as dms_source
from local_aws.dms import table_mapping, types
from local_aws.dms.full_load import Field, Rows

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from local_aws.dms.full_load import Database
    from local_aws.dms.records import Record
    from local_aws.dms.table_mapping import Mapping, Selected
    from local_aws.dms.task_settings import Settings


@dataclass(frozen=True)
class TablePlan:
    """One table: `key` is its schema and name in the source, `prefix` where its objects go."""

    key: tuple[str, str]
    relation: str
    prefix: str
    fields: list[Field]
    selected: Selected
    cuts: dict[str, str]  # LOB columns and the condition that finds the values that are cut
    refusal: str  # why DMS suspends the table, or ""

    def rows(self, database: Database) -> Rows:
        """What to read."""
        return Rows(
            database, self.relation, self.selected.condition, self.fields, has_lobs=bool(self.cuts)
        )

    @property
    def cuts_query(self) -> str:
        """The statement that counts, column by column, what is cut."""
        where = f" where {self.selected.condition}" if self.selected.condition else ""
        counts = ", ".join(f"count(*) filter (where {each})" for each in self.cuts.values())
        return f"select {counts} from {self.relation}{where}"


@dataclass(frozen=True)
class Plan:
    """The tables in the order in which they are to be loaded."""

    tables: list[TablePlan]

    @classmethod
    def of(
        cls,
        connection: psycopg.Connection,
        mapping_text: str,
        settings: Settings,
        source: Record,
        target: Record,
        started: datetime,
    ) -> Plan:
        """The plan for what the source holds now."""
        mapping = table_mapping.parse(mapping_text)
        found = [
            (table, mapping.select(table.schema, table.name, table.kind))
            for table in dms_source.tables(connection)
        ]
        chosen = [(table, selected) for table, selected in found if selected]
        columns = dms_source.columns(connection, [table.oid for table, _ in chosen])
        planner = _Planner(
            mapping, settings, source["PostgreSQLSettings"], target["S3Settings"], started
        )
        plans = [planner.plan(table, selected, columns[table.oid]) for table, selected in chosen]
        return cls(sorted(plans, key=lambda each: -each.selected.load_order))


@dataclass(frozen=True)
class _Planner:
    mapping: Mapping
    settings: Settings
    source: Record
    target: Record
    started: datetime

    def plan(
        self, table: dms_source.Table, selected: Selected, columns: list[types.Column]
    ) -> TablePlan:
        """One table's plan."""
        key, lobs = (table.schema, table.name), self.settings["TargetMetadata"]["SupportLobs"]
        named = [
            (self.mapping.column_name(*key, each.name), each)
            for each in columns
            if lobs or not each.is_lob
        ]
        kept = [(name, column) for name, column in named if name is not None]
        schema = self.mapping.schema_name(
            table.schema, self.settings["TargetMetadata"]["TargetSchema"]
        )
        parts = [
            self.target.get("BucketFolder", "").strip("/"),
            schema,
            self.mapping.table_name(*key),
        ]
        fields = [
            *self._first(),
            *(Field(name, self._carried(key, column)) for name, column in kept),
        ]
        fields += [
            Field(each.name, constant=each.value) for each in self.mapping.added_columns(*key)
        ]
        return TablePlan(
            key,
            table.relation,
            "/".join(part for part in parts if part) + "/",
            fields,
            selected,
            {
                column.name: types.is_cut(column, self._lob_max_bytes)
                for _, column in kept
                if column.is_lob
            },
            _refusal(table, [column for _, column in kept], parts),
        )

    @property
    def _lob_max_bytes(self) -> int:
        return int(self.settings["TargetMetadata"]["LobMaxSize"]) * 1024

    def _first(self) -> list[Field]:
        """The columns that come before the source's."""
        fields = [Field("Op", constant="I")] if self.target.get("IncludeOpForFullLoad") else []
        if name := self.target.get("TimestampColumnName"):
            at_start = self.target.get("UseTaskStartTimeForFullLoadTimestamp")
            start = self.started.strftime("%Y-%m-%d %H:%M:%S.%f") if at_start else None
            fields.append(Field(name, constant=start, now=not at_start, required=True))
        return fields

    def _carried(self, key: tuple[str, str], column: types.Column) -> types.Carried:
        length = self.mapping.string_length(*key, column.name)
        if length is not None and not column.is_lob:  # of a LOB, DMS changes nothing
            return types.as_string(column, length)
        boolean, trim = (
            self.source.get("MapBooleanAsBoolean", False),
            self.source.get("TrimSpaceInChar", True),
        )
        return types.carried(column, self._lob_max_bytes, boolean=boolean, trim=trim)


def _refusal(table: dms_source.Table, columns: list[types.Column], parts: list[str]) -> str:
    if not columns:
        return "no column of it can be replicated."
    if not table.has_key and any(column.kind == "array" for column in columns):
        return "it has an array column and no primary key."
    if any(part in (".", "..") or "/" in part for part in parts[1:]):
        return "local_aws cannot keep objects under its name."
    return ""
