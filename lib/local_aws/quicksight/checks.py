"""What AWS would find wrong in a dashboard's definition: contradictions at once, data sets and
columns in its Errors later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

from local_aws.quicksight.definition import (
    CONTROLS,
    FIELD_TYPES,
    FILTERS,
    WELLS,
    Definition,
    Visual,
    sorts,
)
from local_aws.quicksight.expressions import ExpressionError, NotSupportedError
from local_aws.quicksight.queries import check_sql
from local_aws.quicksight.records import invalid, not_here

if TYPE_CHECKING:
    from collections.abc import Iterator

Record = dict[str, Any]
# what would change the numbers a visual shows, and is not drawn here
NOT_DRAWN = (
    "ReferenceLines",
    "ForecastConfigurations",
    "SmallMultiplesOptions",
    "TotalOptions",
    "TableInlineVisualizations",
)


def check_form(definition: Definition) -> None:
    """Raise InvalidParameterValueException where the definition contradicts itself, and refuse what
    is not here.
    """
    settings = definition.declared
    if not definition.sheets:
        raise invalid("A definition needs a sheet")
    if others := [
        each
        for each in (
            "ParameterDeclarations",
            "TopicIdentifierDeclarations",
            "TooltipSheets",
            "StaticFiles",
        )
        if settings.get(each)
    ]:
        raise not_here(f"QuickSight definitions with {', '.join(others)}")
    _check_differ("SheetId", [each["SheetId"] for each in definition.sheets])
    _check_differ(
        "data set identifier",
        [each["Identifier"] for each in settings["DataSetIdentifierDeclarations"]],
    )
    _check_differ("FilterId", [each.id for each in definition.filters])
    for each in definition.filters:
        if (
            each.kind not in FILTERS
            or "RollingDate" in str(each.declared)
            or "Parameter" in each.declared
        ):
            raise not_here(f"QuickSight's filter {each.kind} as it is given")
    for sheet in definition.sheets:
        _check_sheet(definition, sheet)
    for data_set, fields in definition.calculated.items():
        _check_declared(definition, data_set)
        for name, expression in fields.items():
            _check_expression(definition, data_set, name, expression)


def _check_sheet(definition: Definition, sheet: Record) -> None:
    others = [each for each in ("ParameterControls", "TextBoxes", "Images") if sheet.get(each)]
    if others:
        raise not_here(f"QuickSight sheets with {', '.join(others)}")
    visuals = definition.visuals(sheet)
    _check_differ("VisualId", [each.id for each in visuals])
    for each in visuals:
        _check_visual(definition, each)
    controls = [next(iter(each.items())) for each in sheet.get("FilterControls") or []]
    for kind, control in controls:
        _check_control(definition, kind, control)
    known = {each.id for each in visuals} | {control["FilterControlId"] for _, control in controls}
    for layout in (*(sheet.get("Layouts") or []), *(sheet.get("SheetControlLayouts") or [])):
        if "GridLayout" not in layout["Configuration"]:
            raise not_here("QuickSight layouts other than a grid")
        placed = {each["ElementId"] for each in layout["Configuration"]["GridLayout"]["Elements"]}
        if strangers := sorted(placed - known):
            raise invalid(
                f"The layout of sheet {sheet['SheetId']} places {', '.join(strangers)}, which the"
                " sheet does not have"
            )


def _check_control(definition: Definition, kind: str, control: Record) -> None:
    source = next(
        (each for each in definition.filters if each.id == control["SourceFilterId"]), None
    )
    if not source:
        raise invalid(
            f"The control {control['FilterControlId']} has no filter {control['SourceFilterId']}"
        )
    shared, _ = source.default_control
    if kind == "CrossSheet" and not shared:
        raise invalid(f"The filter {source.id} has no control that sheets could share")
    if kind not in CONTROLS or (kind == "CrossSheet" and shared not in CONTROLS):
        raise not_here(f"QuickSight's filter control {shared if kind == 'CrossSheet' else kind}")


def _check_visual(definition: Definition, visual: Visual) -> None:
    if visual.kind not in WELLS:
        raise not_here(f"QuickSight's {visual.kind}")
    others = [
        each
        for each in ("ConditionalFormatting", "Actions", "ColumnHierarchies")
        if visual.declared.get(each)
    ]
    others += [each for each in NOT_DRAWN if visual.configuration.get(each)]
    if others := [*others, *visual.other_wells]:
        raise not_here(f"QuickSight's {visual.kind} with {', '.join(others)}")
    fields = visual.fields
    if not fields:
        raise invalid(f"Visual {visual.id} has no fields")
    _check_differ(f"FieldId of {visual.id}", [each.id for each in fields])
    for each in fields:
        if each.kind not in FIELD_TYPES:
            raise not_here(f"QuickSight's {each.kind} in {visual.id}")
        _check_declared(definition, each.data_set)
    if len({each.data_set for each in fields}) > 1:
        raise invalid(f"Visual {visual.id} has fields of several data sets")
    if visual.kind == "KPIVisual" and len(fields) > 1:
        raise not_here("QuickSight KPIs of several values")
    ids = {each.id for each in fields}
    for settings in sorts(visual):
        if "FieldSort" in settings and settings["FieldSort"]["FieldId"] not in ids:
            raise invalid(
                f"Visual {visual.id} is sorted by {settings['FieldSort']['FieldId']}, which it does"
                " not have"
            )


def _check_declared(definition: Definition, data_set: str) -> None:
    if data_set not in definition.columns:
        raise invalid(f"The definition declares no data set {data_set}")


def _check_expression(definition: Definition, data_set: str, name: str, expression: str) -> None:
    if definition.columns[data_set] is None:
        return  # the data set's absence is reported
    try:
        definition.sql(data_set, name)
    except ExpressionError as error:
        # columns that are missing are reported later
        if not str(error).startswith("There is no field"):
            raise invalid(
                f"The calculated field {name} ({expression}) cannot be understood: {error}"
            ) from error
    except NotSupportedError as gap:
        raise not_here(str(gap)) from gap


def _check_differ(what: str, names: list[str]) -> None:
    if doubles := sorted({each for each in names if names.count(each) > 1}):
        raise invalid(f"The {what} {', '.join(doubles)} is there more than once")


def errors(definition: Definition) -> list[Record]:
    """What is wrong with a definition's data sets and columns, as DescribeDashboard has it."""
    declared = {
        each["Identifier"]: each["DataSetArn"]
        for each in definition.declared["DataSetIdentifierDeclarations"]
    }
    missing = [name for name in declared if definition.columns[name] is None]
    found = [
        _error(
            "DATA_SET_NOT_FOUND", f"The data set {declared[each]} is not found.", f"dataset/{each}"
        )
        for each in missing
    ]
    for path, kind, data_set, column in uses(definition):
        if definition.columns[data_set] is not None:
            found += _column_errors(definition, path, kind, data_set, column)
    if not found:
        found = [
            error
            for sheet in definition.sheets
            for each in definition.visuals(sheet)
            for error in _type_errors(definition, each)
        ]
    return found


def _column_errors(
    definition: Definition, path: str, kind: str, data_set: str, name: str
) -> list[Record]:
    column = (definition.columns[data_set] or {}).get(name)
    if not column:
        try:
            definition.sql(data_set, name)
        except ExpressionError as error:
            return [
                _error(
                    "COLUMN_REPLACEMENT_MISSING",
                    f"{error} in the data set {data_set} ({path} uses {name}).",
                    path,
                )
            ]
        return []  # the type of a calculated field is judged with its visual
    if kind.endswith(".Geospatial"):
        if column.role not in ("LATITUDE", "LONGITUDE"):
            return [
                _error(
                    "COLUMN_GEOGRAPHIC_ROLE_MISMATCH",
                    f"The column {name} is tagged neither LATITUDE nor LONGITUDE.",
                    path,
                )
            ]
    elif column.type not in FIELD_TYPES[kind]:
        wanted = " or ".join(FIELD_TYPES[kind])
        return [
            _error(
                "COLUMN_TYPE_MISMATCH",
                f"The column {name} is {column.type} where {kind} needs {wanted}.",
                path,
            )
        ]
    return []


def _type_errors(definition: Definition, visual: Visual) -> list[Record]:
    path = f"sheet/{visual.sheet}/visual/{visual.id}"
    columns = definition.columns[visual.fields[0].data_set] or {}
    roles = {
        columns[each.column].role for each in visual.well("Geospatial") if each.column in columns
    }
    if visual.kind == "GeospatialMapVisual" and roles != {"LATITUDE", "LONGITUDE"}:
        return [
            _error(
                "COLUMN_GEOGRAPHIC_ROLE_MISMATCH", "A map needs a latitude and a longitude.", path
            )
        ]
    try:
        check_sql(definition, visual)
    except duckdb.Error as error:
        message = str(error).splitlines()[0]
        return [_error("COLUMN_TYPE_MISMATCH", message, path)]
    return []


def _error(kind: str, message: str, path: str) -> Record:
    return {"Type": kind, "Message": message, "ViolatedEntities": [{"Path": path}]}


def uses(definition: Definition) -> Iterator[tuple[str, str, str, str]]:
    """Every use of a column: the path that AWS reports, the kind of field or filter, the data set,
    the column.
    """
    for sheet in definition.sheets:
        for visual in definition.visuals(sheet):
            for each in visual.fields:
                path = f"sheet/{sheet['SheetId']}/visual/{visual.id}/field/{each.id}"
                yield (
                    path,
                    f"{visual.kind}.{each.well}" if each.well == "Geospatial" else each.kind,
                    each.data_set,
                    each.column,
                )
    for one in definition.filters:
        yield f"filter/{one.id}", one.kind, one.data_set, one.column
