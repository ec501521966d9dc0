"""What looks like somebody's data: suggestions for the classification, from names, comments and samples, for a person to accept.

Samples are judged by validators of others: email-validator, phonenumbers, python-stdnum, ipaddress. No value leaves this module.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import email_validator
import phonenumbers
from stdnum import iban, luhn

from lakebook import athena, glue, lake_access

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakebook.classification import Classification
    from lakebook.lake_access import LakeTable
    from lakebook.names import Names

SAMPLED_AT_ONCE = 4  # tables
SAMPLE_ROWS, SHARE = 200, 0.8  # from which share of a sample on a column is taken for what its values are
PERSONAL, SENSITIVE = -2, -1  # where these stand among the classes, which go from open to closed
# what names and comments say, as words; one alone is enough
WORDS = {
    SENSITIVE: "passport|ssn|social security|birth|born|iban|salary|wage|religion|ethnicity|health|diagnosis|disability|biometric|tax id|credit card|card number|password|criminal",
    PERSONAL: "first name|last name|surname|given name|maiden name|full name|user name|e ?mail|phone|mobile|street|zip code|postal code|home address|gender|signature|ip address|next of kin",
}


def suggestions(names: Names, classification: Classification) -> list[dict[str, Any]]:
    """Columns that look more closed than they are classified: column, now, suggested, because."""
    tables = lake_access.tables(names, classification)
    with ThreadPoolExecutor(SAMPLED_AT_ONCE) as pool:
        return [each for found in pool.map(lambda each: _suggested(names, classification, each), tables) for each in found]  # fmt: skip


def _suggested(names: Names, classification: Classification, table: LakeTable) -> list[dict[str, Any]]:
    found, classes = [], list(classification.classes)
    described = glue.describe(names.database("curated"), table.name) or {}
    columns = described["StorageDescriptor"]["Columns"]
    values = _sample(names, table, [each["Name"] for each in columns if each["Type"] == "string"])
    for each in columns:
        place, why = looks_like(each["Name"], each.get("Comment", ""), values.get(each["Name"], []))
        now, place = table.classes[each["Name"]], max(place, -len(classes))
        if place and classes.index(now) < len(classes) + place:
            found.append({"column": f"{table.full_name}.{each['Name']}", "now": now, "suggested": classes[place], "because": why})  # fmt: skip
    return found


def looks_like(name: str, comment: str, values: list[str]) -> tuple[int, str]:
    """PERSONAL or SENSITIVE and the reason, or 0 and none: by the column's name, its comment, then what most of its values are."""
    for told, text in (("its name", name), ("its comment", comment)):
        spaced = " ".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)).lower()
        for place, words in WORDS.items():
            if said := re.search(rf"\b({words})", spaced):
                return place, f"{told} says {said[1]}"
    for what, (place, is_one) in VALIDATORS.items():
        count = sum(is_one(each) for each in values)
        if values and count >= SHARE * len(values):
            return place, f"{count} of {len(values)} values are {what}"
    return 0, ""


def _sample(names: Names, table: LakeTable, columns: list[str]) -> dict[str, list[str]]:
    if not columns:
        return {}
    listed = ", ".join(f'substr("{each}", 1, 200)' for each in columns)
    sql = f'SELECT {listed} FROM "{table.name}" LIMIT {SAMPLE_ROWS}'
    rows = athena.answer(sql, names.database("curated"), names.resource("lakebook"))
    return {name: [row[place] for row in rows if row[place]] for place, name in enumerate(columns)}


def _is_email(text: str) -> bool:
    with contextlib.suppress(email_validator.EmailNotValidError):
        return bool(email_validator.validate_email(text, check_deliverability=False))
    return False


def _is_phone(text: str) -> bool:
    with contextlib.suppress(phonenumbers.NumberParseException):
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(text)))  # with its country: a bare number is none
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
