"""How QuickSight writes numbers, dates and labels: from the format configurations of a definition
to text.
"""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local_aws.quicksight.definition import label_options
from local_aws.quicksight.expressions import DATE_PARTS

if TYPE_CHECKING:
    from local_aws.quicksight.definition import Field, Visual

Record = dict[str, Any]
SCALES = {
    "THOUSANDS": (1e3, "K"),
    "MILLIONS": (1e6, "M"),
    "BILLIONS": (1e9, "B"),
    "TRILLIONS": (1e12, "T"),
}
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
GRANULARITIES = {
    "YEAR": "%Y",
    "QUARTER": "%b %Y",
    "MONTH": "%b %Y",
    "WEEK": "%b %-d, %Y",
    "DAY": "%b %-d, %Y",
}


def text(value: Any, field: Field) -> str:
    """A value as the reader sees it."""
    if value is None:
        return "null"
    if isinstance(value, datetime.datetime | datetime.date):
        return value.strftime(_date_format(field))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return number(float(value), _numeric(field))
    return str(value)


def number(value: float, declared: Record) -> str:
    """A number by a NumericFormatConfiguration: `{"CurrencyDisplayFormatConfiguration": {...}}`."""
    kind, declared = _first(declared)
    suffix = ""
    if kind.startswith("Percentage"):
        value, suffix = value * 100, "%"
    divisor, unit = _scale(value, declared.get("NumberScale", "NONE"))
    places = (declared.get("DecimalPlacesConfiguration") or {}).get("DecimalPlaces")
    if places is None:
        places = 0 if divisor == 1 and value == int(value) else 2
    grouped = "" if _hidden(declared) else ","
    sign, symbol = (
        "-" if value < 0 else "",
        (SYMBOLS.get(declared.get("Symbol", "USD"), "") if kind.startswith("Currency") else ""),
    )
    before, after = declared.get("Prefix", ""), declared.get("Suffix", "")
    shown = f"{abs(value) / divisor:{grouped}.{places}f}"
    return f"{sign}{before}{symbol}{shown}{unit}{suffix}{after}"


def label(visual: Visual, field: Field) -> str:
    """What a field is called: its custom label, else its column's name in plain words."""
    return (
        label_options(visual, field.id).get("CustomLabel")
        or field.column.replace("_", " ").capitalize()
    )


def axis_title(visual: Visual, field: Field) -> str:
    """What stands beside an axis; nothing when it is hidden."""
    return (
        ""
        if label_options(visual, field.id).get("Visibility") == "HIDDEN"
        else label(visual, field)
    )


def title(declared: Record, member: str = "Title") -> str:
    """A title's or subtitle's text without markup, empty when it is hidden."""
    title = declared.get(member) or {}
    words = title.get("FormatText") or {}
    shown = words.get("PlainText") or re.sub(r"<[^>]+>", "", words.get("RichText", ""))
    return "" if title.get("Visibility") == "HIDDEN" else shown


def axis(field: Field) -> Record:
    """How Plotly writes a measure's axis."""
    kind, declared = _first(_numeric(field))
    if kind.startswith("Percentage"):
        return {"tickformat": ".0%"}
    symbol = (
        SYMBOLS.get(declared.get("Symbol", "USD"), "")
        if kind.startswith("Currency")
        else declared.get("Prefix", "")
    )
    return {
        "tickprefix": symbol,
        "ticksuffix": declared.get("Suffix", ""),
        "tickformat": "~s" if kind.startswith("Currency") else "",
    }


def _first(declared: Record) -> tuple[str, Record]:
    return next(iter(declared.items())) if declared else ("", {})


def _numeric(field: Field) -> Record:
    declared = field.declared.get("FormatConfiguration") or {}
    inner = declared.get("FormatConfiguration") or declared.get("NumericFormatConfiguration") or {}
    return dict(inner)


def _date_format(field: Field) -> str:
    declared = (field.declared.get("FormatConfiguration") or {}).get("DateTimeFormat")
    if not declared:
        return GRANULARITIES.get(field.declared.get("DateGranularity", "DAY"), "%b %-d, %Y %H:%M")
    words = {"YYYY": "yyyy", "YY": "yy", "DD": "dd", "D": "d"}
    return re.sub(
        "[A-Za-z]+", lambda found: DATE_PARTS.get(words.get(found[0], found[0]), found[0]), declared
    )


def _scale(value: float, name: str) -> tuple[float, str]:
    if name == "AUTO":
        return next((each for each in reversed(SCALES.values()) if abs(value) >= each[0]), (1, ""))
    return SCALES.get(name, (1, ""))


def _hidden(declared: Record) -> bool:
    separator = (declared.get("SeparatorConfiguration") or {}).get("ThousandsSeparator") or {}
    return bool(separator.get("Visibility") == "HIDDEN")
