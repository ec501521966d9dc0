"""What looks like somebody's data: suggestions for the classification, from names, comments and
samples, for a person to accept.

Samples are judged by validators of others: email-validator, phonenumbers, python-stdnum, ipaddress.
No value leaves this module.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING, Any

import email_validator
import phonenumbers
from stdnum import iban, luhn

from lakebook.access import lake_access
from lakebook.services import athena, glue

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakebook.access.lake_access import LakeTable
    from lakebook.names import Names
    from lakebook.people.classification import Classification

SAMPLED_TOGETHER = 25  # tables in one query, which has at most 256 KiB
# from which share of a sample on a column is taken for what its values are
SAMPLE_ROWS, SHARE = 200, 0.8
PERSONAL, SENSITIVE = -2, -1  # where these stand among the classes, which go from open to closed
# what names and comments say, as words; one alone is enough
WORDS = {
    SENSITIVE: (
        "passport|ssn|social"
        " security|birth|born|iban|salary|wage|religion|ethnicity|health|diagnosis|disability"
        "|biometric|tax"
        " id|credit card|card number|password|criminal"
    ),
    PERSONAL: (
        "first name|last name|surname|given name|maiden name|full name|user name|e"
        " ?mail|phone|mobile|street|zip code|postal code|home address|gender|signature|ip"
        " address|next of kin"
    ),
}


def suggestions(names: Names, classification: Classification) -> list[dict[str, Any]]:
    """Columns that look more closed than they are classified: column, now, suggested, because."""
    tables = lake_access.tables(names, classification)
    columns = {
        each["Name"]: each["StorageDescriptor"]["Columns"]
        for each in glue.tables(names.database("curated"))
    }
    most_closed = list(classification.classes)[-1]
    silent = {
        table.name: [
            each["Name"]
            for each in columns[table.name]
            if each["Type"] == "string"
            and table.classes[each["Name"]] != most_closed
            and not _said(each)[0]
        ]
        for table in tables
    }
    values = _samples(names, silent)
    return [
        found
        for each in tables
        for found in _suggested(classification, each, columns[each.name], values[each.name])
    ]


def _suggested(
    classification: Classification,
    table: LakeTable,
    columns: list[dict[str, str]],
    values: dict[str, list[str]],
) -> list[dict[str, Any]]:
    found, classes = [], list(classification.classes)
    for each in columns:
        place, why = looks_like(each["Name"], each.get("Comment", ""), values.get(each["Name"], []))
        now, place = table.classes[each["Name"]], max(place, -len(classes))
        if place and classes.index(now) < len(classes) + place:
            found.append(
                {
                    "column": f"{table.full_name}.{each['Name']}",
                    "now": now,
                    "suggested": classes[place],
                    "because": why,
                }
            )
    return found


def looks_like(name: str, comment: str, values: list[str]) -> tuple[int, str]:
    """PERSONAL or SENSITIVE and the reason, or 0 and none: by the column's name, its comment, then
    what most of its values are.
    """
    place, why = _said({"Name": name, "Comment": comment})
    if place:
        return place, why
    for what, (place, is_one) in VALIDATORS.items():
        if count := _are(is_one, values):
            return place, f"{count} of {len(values)} values are {what}"
    return 0, ""


def _said(column: dict[str, str]) -> tuple[int, str]:
    """The same by the column's name and comment alone."""
    for origin, text in (("its name", column["Name"]), ("its comment", column.get("Comment", ""))):
        spaced = " ".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)).lower()
        for place, words in WORDS.items():
            if said := re.search(rf"\b({words})", spaced):
                return place, f"{origin} says {said[1]}"
    return 0, ""


def _are(is_one: Callable[[str], bool], values: list[str]) -> int:
    """How many of the values are what a validator knows; 0 as soon as too many are not."""
    others = 0
    for each in values:
        others += not is_one(each)
        if others > (1 - SHARE) * len(values):
            return 0
    return len(values) - others


def _samples(names: Names, columns: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """Some values of each of the tables' columns, by table and column; many tables in one query, as
    Athena takes its time for each.
    """
    found: dict[str, dict[str, list[str]]] = {
        table: {column: [] for column in some} for table, some in columns.items()
    }
    sampled = [table for table, some in columns.items() if some]
    for start in range(0, len(sampled), SAMPLED_TOGETHER):
        together = sampled[start : start + SAMPLED_TOGETHER]
        width = max(len(columns[table]) for table in together)
        sql = " UNION ALL ".join(_sample(table, columns[table], width) for table in together)
        for table, *row in athena.answer(
            sql, names.database("curated"), names.resource("lakebook")
        ):
            for column, value in zip(columns[table], row, strict=False):
                found[table][column] += [value] if value else []
    return found


def _sample(table: str, columns: list[str], width: int) -> str:
    values = [f'substr("{each}", 1, 200)' for each in columns] + ["CAST(NULL AS varchar)"] * (
        width - len(columns)
    )
    return f"(SELECT '{table}', {', '.join(values)} FROM \"{table}\" LIMIT {SAMPLE_ROWS})"


def _is_email(text: str) -> bool:
    with contextlib.suppress(email_validator.EmailNotValidError):
        return bool(email_validator.validate_email(text, check_deliverability=False))
    return False


def _is_phone(text: str) -> bool:
    with contextlib.suppress(phonenumbers.NumberParseException):
        # with its country: a bare number is none
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(text)))
    return False


def _is_ip_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_interface(text))
    return False


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text)
    return digits.isdigit() and 13 <= len(digits) <= 19 and bool(luhn.is_valid(digits))


VALIDATORS: dict[str, tuple[int, Callable[[str], bool]]] = {
    "bank accounts (IBAN)": (SENSITIVE, lambda text: bool(iban.is_valid(text))),
    "card numbers": (SENSITIVE, _is_card),
    "e-mail addresses": (PERSONAL, _is_email),
    "telephone numbers": (PERSONAL, _is_phone),
    "internet addresses": (PERSONAL, _is_ip_address),
}
