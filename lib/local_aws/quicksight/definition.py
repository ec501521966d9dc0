"""A dashboard's definition as it can be drawn: sheets, visuals with their fields, filters; and what
AWS would find wrong in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws.quicksight.columns import Column, identifier
from local_aws.quicksight.expressions import ExpressionError, Sql, translate
from local_aws.quicksight.records import not_here

if TYPE_CHECKING:
    from collections.abc import Mapping

Record = dict[str, Any]
# where each kind of visual keeps its fields, and which of these hold measures
WELLS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "KPIVisual": ("", (), ("Values",)),
    "BarChartVisual": ("BarChartAggregatedFieldWells", ("Category", "Colors"), ("Values",)),
    "LineChartVisual": ("LineChartAggregatedFieldWells", ("Category", "Colors"), ("Values",)),
    "ComboChartVisual": (
        "ComboChartAggregatedFieldWells",
        ("Category",),
        ("BarValues", "LineValues"),
    ),
    "PieChartVisual": ("PieChartAggregatedFieldWells", ("Category",), ("Values",)),
    "HeatMapVisual": ("HeatMapAggregatedFieldWells", ("Rows", "Columns"), ("Values",)),
    "TableVisual": ("TableAggregatedFieldWells", ("GroupBy",), ("Values",)),
    "PivotTableVisual": ("PivotTableAggregatedFieldWells", ("Rows", "Columns"), ("Values",)),
    "GeospatialMapVisual": (
        "GeospatialMapAggregatedFieldWells",
        ("Geospatial", "Colors"),
        ("Values",),
    ),
}
AXES = {  # where the labels of a well are told
    "Category": ("CategoryLabelOptions", "XAxisLabelOptions"),
    "Rows": ("RowLabelOptions",),
    "Columns": ("ColumnLabelOptions",),
    "Values": ("ValueLabelOptions", "PrimaryYAxisLabelOptions"),
    "Colors": ("ColorLabelOptions",),
    "BarValues": ("PrimaryYAxisLabelOptions",),
    "LineValues": ("SecondaryYAxisLabelOptions",),
}
FILTERS = ("CategoryFilter", "NumericRangeFilter", "TimeRangeFilter")
CONTROLS = ("Dropdown", "List", "DateTimePicker", "Slider", "CrossSheet")
FIELD_TYPES = {
    "CategoricalDimensionField": ("STRING",),
    "DateDimensionField": ("DATETIME",),
    "NumericalDimensionField": ("INTEGER", "DECIMAL"),
    "NumericalMeasureField": ("INTEGER", "DECIMAL"),
    "CategoricalMeasureField": ("STRING",),
    "DateMeasureField": ("DATETIME",),
    "CategoryFilter": ("STRING",),
    "TimeRangeFilter": ("DATETIME",),
    "NumericRangeFilter": ("INTEGER", "DECIMAL"),
}


@dataclass(frozen=True)
class Field:
    """A field in one of a visual's wells."""

    kind: str  # "NumericalMeasureField"
    well: str  # "Values"
    declared: Record

    @property
    def id(self) -> str:
        """Its FieldId."""
        return str(self.declared["FieldId"])

    @property
    def column(self) -> str:
        """The column or calculated field it shows."""
        return str(self.declared["Column"]["ColumnName"])

    @property
    def data_set(self) -> str:
        """The data set's identifier in the definition."""
        return str(self.declared["Column"]["DataSetIdentifier"])


@dataclass(frozen=True)
class Visual:
    """One visual of a sheet."""

    kind: str  # "BarChartVisual"
    declared: Record
    sheet: str

    @property
    def id(self) -> str:
        """Its VisualId."""
        return str(self.declared["VisualId"])

    @property
    def configuration(self) -> Record:
        """Its ChartConfiguration."""
        return dict(self.declared.get("ChartConfiguration") or {})

    @property
    def fields(self) -> list[Field]:
        """Its fields, dimensions first."""
        inside, dimensions, measures = WELLS[self.kind]
        wells = self.configuration.get("FieldWells") or {}
        wells = (wells.get(inside) or {}) if inside else wells
        return [
            Field(kind, well, declared)
            for well in (*dimensions, *measures)
            for each in wells.get(well) or []
            for kind, declared in each.items()
        ]

    @property
    def other_wells(self) -> list[str]:
        """The wells with fields in them that are not among those of `WELLS`."""
        inside, dimensions, measures = WELLS[self.kind]
        wells = self.configuration.get("FieldWells") or {}
        others = [name for name in wells if inside and name != inside]
        inner = (wells.get(inside) or {}) if inside else wells
        return others + [
            name
            for name, fields in inner.items()
            if fields and name not in (*dimensions, *measures)
        ]

    def well(self, *names: str) -> list[Field]:
        """The fields in some of the wells."""
        return [each for each in self.fields if each.well in names]


@dataclass(frozen=True)
class Filter:
    """One filter of a filter group."""

    kind: str
    declared: Record
    group: Record

    @property
    def id(self) -> str:
        """Its FilterId."""
        return str(self.declared["FilterId"])

    @property
    def column(self) -> str:
        """The column or calculated field it looks at."""
        return str(self.declared["Column"]["ColumnName"])

    @property
    def data_set(self) -> str:
        """The data set's identifier in the definition."""
        return str(self.declared["Column"]["DataSetIdentifier"])

    @property
    def default_control(self) -> tuple[str, Record]:
        """The control that sheets share (`CrossSheet`), as kind and what is told of it; nothing
        where there is none.
        """
        declared = self.declared.get("DefaultFilterControlConfiguration")
        if not declared:
            return "", {}
        name, options = next(iter(declared["ControlOptions"].items()))
        kind = name.removeprefix("Default").removesuffix("Options")
        return kind, {**options, "Title": declared.get("Title", "")}

    def concerns(self, visual: Visual, columns: Mapping[str, Any], data_set: str) -> bool:
        """Whether it filters a visual that shows a data set with these columns."""
        if self.group.get("Status") == "DISABLED":
            return False
        if data_set != self.data_set and (
            self.group["CrossDataset"] != "ALL_DATASETS" or self.column not in columns
        ):
            return False
        scope = self.group["ScopeConfiguration"]
        if "AllSheets" in scope:
            return True
        chosen = (scope.get("SelectedSheets") or {}).get("SheetVisualScopingConfigurations") or []
        return any(
            each["SheetId"] == visual.sheet
            and (each["Scope"] == "ALL_VISUALS" or visual.id in each.get("VisualIds", []))
            for each in chosen
        )


@dataclass
class Definition:
    """A definition, with the columns of the data sets it names; `None` for a data set that is not
    there.
    """

    declared: Record
    columns: dict[str, dict[str, Column] | None]  # by the data set's identifier
    # expressions, by identifier and name
    calculated: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.declared.get("CalculatedFields") or []:
            self.calculated.setdefault(each["DataSetIdentifier"], {})[each["Name"]] = each[
                "Expression"
            ]

    @property
    def sheets(self) -> list[Record]:
        """The sheets in their order."""
        return list(self.declared.get("Sheets") or [])

    def visuals(self, sheet: Record) -> list[Visual]:
        """The visuals of a sheet."""
        pairs = [next(iter(each.items())) for each in sheet.get("Visuals") or []]
        return [Visual(kind, declared, sheet["SheetId"]) for kind, declared in pairs]

    @property
    def filters(self) -> list[Filter]:
        """All filters."""
        groups = self.declared.get("FilterGroups") or []
        return [
            Filter(kind, declared, group)
            for group in groups
            for each in group["Filters"]
            for kind, declared in each.items()
        ]

    def sql(self, data_set: str, name: str, within: tuple[str, ...] = ()) -> Sql:
        """The SQL of a column or calculated field; raises ExpressionError where there is none."""
        if name in (self.columns.get(data_set) or {}):
            return Sql(identifier(name))
        expression = self.calculated.get(data_set, {}).get(name)
        if expression is None:
            raise ExpressionError(f"There is no field {name}")
        if name in within:
            raise ExpressionError(f"The calculated field {name} depends on itself")
        return translate(expression, _Fields(self, data_set, (*within, name)))


class _Fields(dict[str, Sql]):
    """The fields of a data set, calculated ones too, looked up as they are needed."""

    def __init__(self, definition: Definition, data_set: str, within: tuple[str, ...]) -> None:
        super().__init__()
        self.definition, self.data_set, self.within = definition, data_set, within

    def __contains__(self, _name: object) -> bool:
        return True  # __missing__ raises

    def __missing__(self, name: str) -> Sql:
        return self.definition.sql(self.data_set, name, self.within)


def sorts(visual: Visual) -> list[Record]:
    """The sort options of a visual, of all its axes."""
    declared = visual.configuration.get("SortConfiguration") or {}
    lists = [value for name, value in declared.items() if name.endswith("Sort")]
    fields = declared.get("FieldSortOptions") or [] if visual.kind == "PivotTableVisual" else []
    if fields:
        raise not_here("FieldSortOptions of a QuickSight pivot table")
    return [each for value in lists for each in value]


def label_options(visual: Visual, field_id: str) -> Record:
    """The options of the axis or column that a field is on, empty where nothing is told of it."""
    declared = visual.configuration
    column = [
        each
        for each in (declared.get("FieldOptions") or {}).get("SelectedFieldOptions") or []
        if each["FieldId"] == field_id
    ]
    if column:
        return dict(column[0])
    well = next(each.well for each in visual.fields if each.id == field_id)
    axis: Record = next((declared[name] for name in AXES.get(well, ()) if name in declared), {})
    labels = axis.get("AxisLabelOptions") or []
    mine = [
        each for each in labels if (each.get("ApplyTo") or {}).get("FieldId", field_id) == field_id
    ]
    return {
        **(mine[0] if mine else {}),
        **({"Visibility": axis["Visibility"]} if "Visibility" in axis else {}),
    }
