"""Visuals as figures of Plotly.js, or as plain numbers and tables, from the rows they show."""

from __future__ import annotations

import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from local_aws.quicksight.formats import axis, axis_title, label, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_aws.quicksight.columns import Column
    from local_aws.quicksight.definition import Field, Visual

Record = dict[str, Any]
Rows = list[Record]
PALETTE = [
    "#2f6fde",
    "#f28e2b",
    "#17a398",
    "#d64550",
    "#8d6cc9",
    "#6aa84f",
    "#c97b9a",
    "#7f8c9b",
    "#b59a30",
    "#3aa0c9",
]
GRID, INK, MUTED = "#e8ecf1", "#1c2733", "#5c6b7a"
SEQUENTIAL = [[0, "#eef4fd"], [0.5, "#7fb0ef"], [1, "#123f8f"]]
LARGEST_BUBBLE_PIXELS = 34
FEW_BARS = 5  # with fewer they are as wide as five would be


def figure(visual: Visual, rows: Rows, columns: Mapping[str, Column]) -> Record:
    """What the page draws: `{"kind": "kpi" | "table" | "plot", ...}`; `rows` are those of the
    visual by FieldId.
    """
    if visual.kind == "KPIVisual":
        field = visual.well("Values")[0]
        return {"kind": "kpi", "value": text(rows[0][field.id], field) if rows else "null"}
    if visual.kind == "TableVisual":
        return _table(visual, visual.fields, rows)
    if visual.kind == "PivotTableVisual":
        return _pivot(visual, rows)
    if not rows:
        return {"kind": "empty"}
    drawings: dict[str, Callable[[Visual, Rows], tuple[list[Record], Record]]] = {
        "BarChartVisual": _bars,
        "LineChartVisual": _lines,
        "ComboChartVisual": _combo,
        "PieChartVisual": _pie,
        "HeatMapVisual": _heat_map,
        "GeospatialMapVisual": partial(_map, columns),
    }
    data, layout = drawings[visual.kind](visual, rows)
    colour = (visual.configuration.get("VisualPalette") or {}).get("ChartColor")
    hidden = (visual.configuration.get("Legend") or {}).get("Visibility") == "HIDDEN"
    chosen = ({"colorway": [colour]} if colour else {}) | ({"showlegend": False} if hidden else {})
    return {"kind": "plot", "data": data, "layout": {**_layout(), **layout, **chosen}}


def _layout() -> Record:
    return {
        "font": {
            "family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif",
            "size": 12,
            "color": INK,
        },
        "colorway": PALETTE,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#c9d2dc", "font": {"color": INK}},
        "bargap": 0.25,
    }


def _measure_axis(visual: Visual, field: Field) -> Record:
    title = {"text": axis_title(visual, field), "font": {"color": MUTED, "size": 11}}
    return {
        "title": title,
        "gridcolor": GRID,
        "zerolinecolor": "#c9d2dc",
        "automargin": True,
        **axis(field),
    }


def _dimension_axis(visual: Visual, field: Field) -> Record:
    dates = {"type": "date"} if field.kind == "DateDimensionField" else {"type": "category"}
    title = {"text": axis_title(visual, field), "font": {"color": MUTED, "size": 11}}
    return {"title": title, "automargin": True, "showgrid": False, "linecolor": "#c9d2dc", **dates}


def _series(visual: Visual, rows: Rows, measures: list[Field]) -> list[tuple[str, Field, Rows]]:
    """One series for each colour, or else for each measure: its name, its measure, its rows."""
    colours = visual.well("Colors")
    if not colours:
        return [(label(visual, each), each, rows) for each in measures]
    found: dict[str, Rows] = {}
    for row in rows:
        found.setdefault(text(row[colours[0].id], colours[0]), []).append(row)
    return [(name, measures[0], those) for name, those in found.items()]


def _points(category: Field, name: str, measure: Field, rows: Rows) -> Record:
    """Positions, values and what the reader is told on pointing at each."""
    lines = [(text(row[category.id], category), text(row[measure.id], measure)) for row in rows]
    declared = [f"<b>{place}</b><br>{name}: {value}" for place, value in lines]
    places = [
        row[category.id].isoformat() if isinstance(row[category.id], datetime.datetime) else place
        for row, (place, _) in zip(rows, lines, strict=True)
    ]
    return {
        "name": name,
        "x": places,
        "y": [plain(row[measure.id]) for row in rows],
        "hovertext": declared,
        "hoverinfo": "text",
    }


def _bars(visual: Visual, rows: Rows) -> tuple[list[Record], Record]:
    category, measures = visual.well("Category")[0], visual.well("Values")
    series = _series(visual, rows, measures)
    data = [{"type": "bar", **_points(category, *each)} for each in series]
    across = visual.configuration.get("Orientation") == "HORIZONTAL"
    order = list(dict.fromkeys(place for each in data for place in each["x"]))
    axes = [_dimension_axis(visual, category), _measure_axis(visual, measures[0])]
    if axes[0]["type"] == "category":
        axes[0] |= {"categoryorder": "array", "categoryarray": order[::-1] if across else order}
        if len(order) < FEW_BARS:
            axes[0]["range"] = [
                len(order) / 2 - FEW_BARS / 2 - 0.5,
                len(order) / 2 + FEW_BARS / 2 - 0.5,
            ]
    if across:
        for each in data:
            each |= {"orientation": "h", "x": each["y"], "y": each["x"]}
        axes.reverse()
    stacked = visual.configuration.get("BarsArrangement", "CLUSTERED")
    mode = {"barmode": "group" if stacked == "CLUSTERED" else "stack"} | (
        {"barnorm": "percent"} if stacked == "STACKED_PERCENT" else {}
    )
    return data, {"xaxis": axes[0], "yaxis": axes[1], "showlegend": len(series) > 1, **mode}


def _lines(visual: Visual, rows: Rows) -> tuple[list[Record], Record]:
    category, measures = visual.well("Category")[0], visual.well("Values")
    series = _series(visual, rows, measures)
    kind = visual.configuration.get("Type", "LINE")
    area = {"LINE": {}, "AREA": {"fill": "tozeroy"}, "STACKED_AREA": {"stackgroup": "one"}}[kind]
    style = {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 5},
        "line": {"width": 2},
    }
    data = [{**style, **area, **_points(category, *each)} for each in series]
    axes = {"xaxis": _dimension_axis(visual, category), "yaxis": _measure_axis(visual, measures[0])}
    return data, {**axes, "showlegend": len(series) > 1}


def _combo(visual: Visual, rows: Rows) -> tuple[list[Record], Record]:
    category, bars, lines = (visual.well(each) for each in ("Category", "BarValues", "LineValues"))
    data = [
        {"type": "bar", **_points(category[0], label(visual, each), each, rows)} for each in bars
    ]
    style = {
        "type": "scatter",
        "mode": "lines+markers",
        "yaxis": "y2",
        "line": {"width": 2.5},
        "marker": {"size": 6},
    }
    data += [{**style, **_points(category[0], label(visual, each), each, rows)} for each in lines]
    layout = {"xaxis": _dimension_axis(visual, category[0])}
    if bars:
        layout["yaxis"] = _measure_axis(visual, bars[0])
    if lines:
        layout["yaxis2"] = {
            **_measure_axis(visual, lines[0]),
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "tickmode": "auto",
        }
    return data, layout


def _pie(visual: Visual, rows: Rows) -> tuple[list[Record], Record]:
    category, measure = visual.well("Category")[0], visual.well("Values")[0]
    points = _points(category, label(visual, measure), measure, rows)
    slices = {
        "labels": points["x"],
        "values": points["y"],
        "hovertext": points["hovertext"],
        "hoverinfo": "text",
    }
    return [{"type": "pie", "hole": 0.55, "sort": False, **slices}], {"showlegend": True}


def _heat_map(visual: Visual, rows: Rows) -> tuple[list[Record], Record]:
    down, across, measure = (visual.well(each)[0] for each in ("Rows", "Columns", "Values"))
    cells = {
        (text(row[down.id], down), text(row[across.id], across)): row[measure.id] for row in rows
    }
    y = list(dict.fromkeys(text(row[down.id], down) for row in rows))
    by_value = sorted(rows, key=lambda row: (row[across.id] is None, row[across.id]))
    x = list(dict.fromkeys(text(row[across.id], across) for row in by_value))
    declared = [
        [
            f"<b>{r}, {c}</b><br>{label(visual, measure)}: {text(cells.get((r, c)), measure)}"
            for c in x
        ]
        for r in y
    ]
    colours = (visual.configuration.get("ColorScale") or {}).get("Colors") or []
    scale = (
        [[place / (len(colours) - 1), each["Color"]] for place, each in enumerate(colours)]
        if len(colours) > 1
        else SEQUENTIAL
    )
    bar = {
        "thickness": 10,
        "outlinewidth": 0,
        "title": {"text": label(visual, measure), "side": "right", "font": {"size": 11}},
    }
    trace = {
        "type": "heatmap",
        "x": x,
        "y": y,
        "z": [[plain(cells.get((r, c))) for c in x] for r in y],
        "colorscale": scale,
        "hovertext": declared,
        "hoverinfo": "text",
        "xgap": 2,
        "ygap": 2,
        "colorbar": bar,
    }
    axes = {
        "xaxis": {**_dimension_axis(visual, across), "type": "category"},
        "yaxis": {**_dimension_axis(visual, down), "type": "category", "autorange": "reversed"},
    }
    return [trace], axes


def _map(columns: Mapping[str, Column], visual: Visual, rows: Rows) -> tuple[list[Record], Record]:
    """Points by longitude and latitude; there are no map tiles without a network."""
    places, values = visual.well("Geospatial"), visual.well("Values")
    role = {columns[each.column].role: each for each in places}
    latitude, longitude = role["LATITUDE"], role["LONGITUDE"]
    data = []
    greatest = max((float(row[values[0].id] or 0) for row in rows), default=1) or 1
    for name, _, those in _series(visual, rows, values[:1]):
        sizes = [
            6 + (LARGEST_BUBBLE_PIXELS - 6) * (float(row[values[0].id] or 0) / greatest) ** 0.5
            for row in those
        ]
        declared = [
            "<br>".join(
                [
                    f"<b>{name}</b>",
                    *(f"{label(visual, each)}: {text(row[each.id], each)}" for each in values),
                ]
            )
            for row in those
        ]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "hovertext": declared,
                "hoverinfo": "text",
                "x": [plain(row[longitude.id]) for row in those],
                "y": [plain(row[latitude.id]) for row in those],
                "marker": {"size": sizes, "opacity": 0.7, "line": {"width": 1, "color": "#ffffff"}},
            }
        )
    quiet = {
        "showgrid": True,
        "gridcolor": GRID,
        "zeroline": False,
        "automargin": True,
        "ticksuffix": "°",
    }
    layout = {
        "xaxis": quiet,
        "yaxis": {**quiet, "scaleanchor": "x", "scaleratio": 1.3},
        "showlegend": len(data) > 1,
    }
    return data, layout


def _table(visual: Visual, fields: list[Field], rows: Rows) -> Record:
    columns = [{"name": label(visual, each), "number": "Measure" in each.kind} for each in fields]
    return {
        "kind": "table",
        "columns": columns,
        "rows": [[text(row[each.id], each) for each in fields] for row in rows],
    }


def _pivot(visual: Visual, rows: Rows) -> Record:
    down, across, values = visual.well("Rows"), visual.well("Columns"), visual.well("Values")
    if not across:
        return _table(visual, [*down, *values], rows)
    heads = list(
        dict.fromkeys(
            tuple(text(row[each.id], each) for each in across)
            for row in sorted(rows, key=lambda row: [str(row[each.id]) for each in across])
        )
    )
    lines: dict[tuple[str, ...], dict[tuple[str, ...], list[str]]] = {}
    for row in rows:
        line = lines.setdefault(tuple(text(row[each.id], each) for each in down), {})
        line[tuple(text(row[each.id], each) for each in across)] = [
            text(row[each.id], each) for each in values
        ]
    columns = [{"name": label(visual, each), "number": False} for each in down]
    columns += [
        {
            "name": " · ".join([*head, *([label(visual, each)] if len(values) > 1 else [])]),
            "number": True,
        }
        for head in heads
        for each in values
    ]
    cells = [
        [*key, *(cell for head in heads for cell in line.get(head, [""] * len(values)))]
        for key, line in lines.items()
    ]
    return {"kind": "table", "columns": columns, "rows": cells}


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return float(value) if isinstance(value, Decimal) else value
