"""What a visual shows, asked of the rows in SPICE: its fields, filters, sorting and limits as one
query of DuckDB.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import duckdb

from local_aws.quicksight.columns import identifier
from local_aws.quicksight.definition import Definition, Field, Filter, Visual, sorts
from local_aws.quicksight.records import not_here

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Record = dict[str, Any]
# what a reader chose, by filter: {"values": [...]} or {"least": ..., "most": ...}
Chosen = dict[str, Any]
AGGREGATIONS = {
    "SUM": "sum({})",
    "AVERAGE": "avg({})",
    "MIN": "min({})",
    "MAX": "max({})",
    "COUNT": "count({})",
    "DISTINCT_COUNT": "count(DISTINCT {})",
    "MEDIAN": "median({})",
    "STDEV": "stddev_samp({})",
    "STDEVP": "stddev_pop({})",
    "VAR": "var_samp({})",
    "VARP": "var_pop({})",
}
MATCHES = {
    "EQUALS": "{0} IN ({1})",
    "DOES_NOT_EQUAL": "{0} NOT IN ({1})",
    "CONTAINS": "contains({0}, {1})",
    "DOES_NOT_CONTAIN": "NOT contains({0}, {1})",
    "STARTS_WITH": "starts_with({0}, {1})",
    "ENDS_WITH": "ends_with({0}, {1})",
}
LIMITS = {  # which dimension a limit counts
    "CategoryItemsLimit": "Category",
    "CategoryItemsLimitConfiguration": "Category",
    "ColorItemsLimit": "Colors",
    "HeatMapRowItemsLimitConfiguration": "Rows",
    "HeatMapColumnItemsLimitConfiguration": "Columns",
    "ColorItemsLimitConfiguration": "Colors",
}


def expression(definition: Definition, each: Field) -> str:
    """The SQL of one field, aggregated if it is a measure."""
    sql = definition.sql(each.data_set, each.column)
    if each.kind == "DateDimensionField":
        return f"date_trunc('{each.declared.get('DateGranularity', 'DAY').lower()}', {sql.text})"
    if each.kind.endswith("DimensionField") or sql.aggregates:
        return sql.text
    declared = each.declared.get("AggregationFunction")
    if isinstance(declared, dict) and "PercentileAggregation" in declared:
        percent = float(declared["PercentileAggregation"]["PercentileValue"])
        return f"quantile_cont({sql.text}, {percent} / 100.0)"
    name = (
        (declared or {}).get("SimpleNumericalAggregation")
        if isinstance(declared, dict)
        else declared
    )
    return AGGREGATIONS[
        name or ("SUM" if each.kind == "NumericalMeasureField" else "COUNT")
    ].format(sql.text)


def rows(definition: Definition, visual: Visual, file: Path, chosen: Chosen) -> list[Record]:
    """The rows a visual shows, by FieldId."""
    fields = visual.fields
    names = {each.id: f"f{place}" for place, each in enumerate(fields)}
    where, values = _where(definition, visual, chosen)
    with duckdb.connect() as connection:
        for well, limit in _limits(visual):
            dimension = visual.well(well)[:1]
            if dimension:
                where, values = _limited(
                    connection, definition, visual, file, dimension[0], limit, where, values
                )
        selected = ", ".join(
            f"{expression(definition, each)} AS {names[each.id]}" for each in fields
        )
        sql = f"SELECT {selected} FROM read_parquet(?) WHERE {where}"
        if any(each.kind.endswith("DimensionField") for each in fields):
            sql += f" GROUP BY ALL ORDER BY {_order(definition, visual, names)}"
        found = connection.execute(sql, [str(file), *values]).fetchall()
    return [{each.id: row[place] for place, each in enumerate(fields)} for row in found]


def choices(definition: Definition, each: Filter, file: Path) -> list[str]:
    """The values a list of a filter offers."""
    sql = definition.sql(each.data_set, each.column).text
    with duckdb.connect() as connection:
        query = f"SELECT DISTINCT {sql} FROM read_parquet(?) WHERE {sql} IS NOT NULL ORDER BY 1"
        return [str(row[0]) for row in connection.execute(query, [str(file)]).fetchall()]


def span(definition: Definition, each: Filter, file: Path) -> tuple[Any, Any]:
    """The least and the greatest value of a filter's column."""
    sql = definition.sql(each.data_set, each.column).text
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT min({sql}), max({sql}) FROM read_parquet(?)", [str(file)]
        ).fetchall()
    return found[0][0], found[0][1]


def _limits(visual: Visual) -> list[tuple[str, int]]:
    declared = visual.configuration.get("SortConfiguration") or {}
    found = []
    for name, value in declared.items():
        if name in LIMITS and value.get("ItemsLimit"):
            if value.get("OtherCategories") != "EXCLUDE":
                raise not_here("ItemsLimit of a QuickSight visual with OtherCategories INCLUDE")
            found.append((LIMITS[name], int(value["ItemsLimit"])))
    return found


def _limited(
    connection: duckdb.DuckDBPyConnection,
    definition: Definition,
    visual: Visual,
    file: Path,
    dimension: Field,
    limit: int,
    where: str,
    values: list[Any],
) -> tuple[str, list[Any]]:
    """The condition, narrowed to the first items of a dimension in the order of the visual's
    sorting.
    """
    names = {dimension.id: "item"} | {
        each.id: expression(definition, each) for each in visual.fields if "Measure" in each.kind
    }
    item = expression(definition, dimension)
    order = _order(definition, visual, names)
    query = (
        f"SELECT {item} AS item FROM read_parquet(?) WHERE {where} GROUP BY item ORDER BY {order}"
        f" LIMIT {limit}"
    )
    first = [row[0] for row in connection.execute(query, [str(file), *values]).fetchall()]
    kept = ", ".join("?" for _ in first) or "NULL"
    return f"({where}) AND {item} IN ({kept})", [*values, *first]


def _order(definition: Definition, visual: Visual, names: Mapping[str, str]) -> str:
    """As the visual is sorted, and then by its dimensions; `names` are the fields to be sorted by,
    by FieldId.
    """
    found = []
    for each in sorts(visual):
        kind, declared = next(iter(each.items()))
        sql = (
            names.get(declared["FieldId"])
            if kind == "FieldSort"
            else _column_sort(definition, declared)
        )
        found += [f"{sql} {declared['Direction']} NULLS LAST"] if sql else []
    dimensions = [
        names[each.id]
        for each in visual.fields
        if each.kind.endswith("DimensionField") and each.id in names
    ]
    return ", ".join([*found, *(f"{each} NULLS LAST" for each in dimensions)])


def _column_sort(definition: Definition, declared: Record) -> str:
    """The SQL of an aggregated column that the visual does not show."""
    by, function = (
        declared["SortBy"],
        next(iter((declared.get("AggregationFunction") or {}).values()), "MIN"),
    )
    name = (
        function.get("SimpleNumericalAggregation", "SUM")
        if isinstance(function, dict)
        else function
    )
    return AGGREGATIONS[name].format(definition.sql(by["DataSetIdentifier"], by["ColumnName"]).text)


def _where(definition: Definition, visual: Visual, chosen: Chosen) -> tuple[str, list[Any]]:
    data_set = visual.fields[0].data_set
    columns = {**(definition.columns[data_set] or {}), **definition.calculated.get(data_set, {})}
    conditions, values = [], []
    for each in definition.filters:
        if each.concerns(visual, columns, data_set):
            sql = definition.sql(data_set, each.column).text
            condition, given = _condition(each, sql, chosen.get(each.id))
            conditions.append(condition)
            values += given
    return " AND ".join(f"({each})" for each in conditions) or "true", values


def _condition(each: Filter, sql: str, chosen: Record | None) -> tuple[str, list[Any]]:
    nulls = {"NULLS_ONLY": f"{sql} IS NULL", "NON_NULLS_ONLY": f"{sql} IS NOT NULL"}
    if each.kind == "CategoryFilter":
        return _category(each, sql, chosen)
    least, most = bounds(each, chosen)
    limits, values = [], []
    for limit, sign, included in ((least, ">", "IncludeMinimum"), (most, "<", "IncludeMaximum")):
        if limit is not None:
            limits.append(f"{sql} {sign}{'=' if each.declared.get(included, True) else ''} ?")
            values.append(limit)
    condition = " AND ".join(limits) or "true"
    option = each.declared.get("NullOption", "NON_NULLS_ONLY")
    if option == "ALL_VALUES":
        return f"({condition}) OR {sql} IS NULL", values
    return (condition if limits else nulls[option]), values


def _category(each: Filter, sql: str, chosen: Record | None) -> tuple[str, list[Any]]:
    declared = next(iter(each.declared["Configuration"].values()))
    values = declared.get("CategoryValues") or (
        [declared["CategoryValue"]] if "CategoryValue" in declared else []
    )
    operator = declared["MatchOperator"]
    if chosen is not None and "values" in chosen:
        operator, values = "EQUALS", list(chosen["values"])
        if not values:
            return "false", []
    if not values or (declared.get("SelectAllOptions") and chosen is None):
        only = {"NULLS_ONLY": f"{sql} IS NULL", "NON_NULLS_ONLY": f"{sql} IS NOT NULL"}
        return only.get(declared.get("NullOption", ""), "true"), []
    if operator in ("EQUALS", "DOES_NOT_EQUAL"):
        return MATCHES[operator].format(sql, ", ".join("?" for _ in values)), values
    return " OR ".join(MATCHES[operator].format(sql, "?") for _ in values), values


def bounds(each: Filter, chosen: Record | None = None) -> tuple[Any, Any]:
    """The bounds in force: what the reader chose, else what the definition says."""
    time = each.kind == "TimeRangeFilter"
    names = ("RangeMinimumValue", "RangeMaximumValue") if time else ("RangeMinimum", "RangeMaximum")
    ends = [(each.declared.get(name) or {}).get("StaticValue") for name in names]
    for place, name in enumerate(("least", "most")):
        if chosen and chosen.get(name) not in (None, ""):
            ends[place] = chosen[name] if time else float(chosen[name])
    if time:
        least, most = (_moment(end) for end in ends)
        if most is not None and isinstance(ends[1], str) and len(ends[1]) == len("2013-01-31"):
            # a day chosen as the end belongs to the range
            most += datetime.timedelta(days=1, microseconds=-1)
        return least, most
    return ends[0], ends[1]


def _moment(value: Any) -> datetime.datetime | None:
    if value is None:
        return None
    if isinstance(value, int | float):
        value = datetime.datetime.fromtimestamp(value, datetime.UTC)
    moment = (
        value
        if isinstance(value, datetime.datetime)
        else datetime.datetime.fromisoformat(str(value))
    )
    return moment.replace(tzinfo=None)


def check_sql(definition: Definition, visual: Visual) -> None:
    """Run the query of a visual over no rows; raises duckdb.Error where its types do not fit."""
    columns = definition.columns[visual.fields[0].data_set] or {}
    kinds = {"STRING": "VARCHAR", "INTEGER": "BIGINT", "DATETIME": "TIMESTAMP", "DECIMAL": "DOUBLE"}
    empty = ", ".join(
        f"CAST(NULL AS {kinds[each.type]}) AS {identifier(each.name)}" for each in columns.values()
    )
    selected = ", ".join(expression(definition, each) for each in visual.fields)
    with duckdb.connect() as connection:
        connection.execute(f"SELECT {selected} FROM (SELECT {empty} LIMIT 0) GROUP BY ALL")
