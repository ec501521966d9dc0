"""What columns are and who may see them, read from the classification file."""

import pytest

from lakebook.errors import LakebookError
from lakebook.layers import reporting
from lakebook.people import classification
from lakebook.source.model import Column, LakeType, Table

AIRLINE = classification.read("classification/airline.yaml")


def table(name, *columns):
    found = tuple(Column(each, each.lower(), "text", LakeType("string")) for each in columns)
    return Table(*name.split("."), name.replace(".", "_").lower(), 0, False, 0, found)


PASSENGERS = table("customers.passengers", "passenger_id", "passport_number", "newsletter")


def test_of_several_classes_the_most_closed_counts():
    assert AIRLINE.of("customers.passengers", "passport_number") == "sensitive"
    assert AIRLINE.of("customers.LoyaltyCards", "passengerId") == "personal"


def test_a_column_that_nothing_names_has_the_class_for_the_rest():
    assert AIRLINE.of("customers.bookings", "price") == AIRLINE.otherwise == "internal"


@pytest.mark.parametrize(
    ("role", "columns"),
    [("data-scientist", ("passenger_id", "newsletter")), ("auditor", ()), ("nobody", ())],
)
def test_a_role_sees_the_columns_of_its_classes_and_one_that_is_not_named_sees_none(role, columns):
    assert AIRLINE.seen(role, PASSENGERS) == columns


def test_only_who_is_named_has_a_condition_on_rows():
    conditions = [AIRLINE.condition(each, PASSENGERS) for each in ("data-scientist", "analyst")]
    assert conditions == ["newsletter = true", ""]


KNOWN = {
    "customers.passengers": ["passenger_id", "newsletter"],
    "operations.flights": ["id"],
    "models.late_predictions": ["id", "probability"],
}


def unmatched(**changes):
    """The names that match nothing in a small file with these changes."""
    told = {
        "classes": {"public": "", "personal": ""},
        "otherwise": "public",
        "columns": {"public": ["operations.*", "models.*"], "personal": ["customers.*.newsletter"]},
        "personas": {"analyst": ["public"]},
        "rows": {"customers.passengers": {"analyst": "newsletter = true"}},
        "files": {"analyst": ["operations.*"]},
    }
    return classification.Classification("f.yaml", **{**told, **changes}).unmatched_patterns(KNOWN)


def test_a_file_whose_names_all_match_something_is_complete():
    assert unmatched() == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"columns": {"personal": ["customers.passengers.newsleter"]}},
            "customers.passengers.newsleter",
        ),
        ({"columns": {"personal": ["customers.passengers"]}}, "customers.passengers"),
        ({"columns": {"personal": ["models.early_predictions.*"]}}, "models.early_predictions.*"),
        (
            {"rows": {"customers.passenger": {"analyst": "newsletter = true"}}},
            "customers.passenger",
        ),
        ({"files": {"analyst": ["operation.*"]}}, "operation.*"),
    ],
)
def test_a_name_that_matches_no_table_or_column_is_found(changes, named):
    assert unmatched(**changes) == [named]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("auditor: []", "auditor: [secret]", "the classes secret"),
        ("    analyst: cancelled", "    annalyst: cancelled", "rows or files to annalyst"),
        ("otherwise: internal", "others: internal", "must have classes, columns, otherwise"),
        ("rows:", "rows: [", "is not YAML"),
        ("  public: published", "  [a]: published", "is not YAML"),
        (
            "  public:\n    - operations",
            "  personal: [a.b.c]\n  public:\n    - operations",
            "personal is there twice",
        ),
        ("  analyst: [public, internal]", "  analyst: public", "for each name under personas"),
        ("  auditor: []", "  auditor:", "for each name under personas"),
        ("\nfiles:", "\nfiles:\n\nothers:", "and nothing else"),
        ("public", "Public", "the classes Public with capitals"),
    ],
)
def test_a_file_that_does_not_hold_together_is_one_clear_sentence(tmp_path, old, new, sentence):
    text = (classification.project() / AIRLINE.file).read_text()
    assert old in text
    (tmp_path / "wrong.yaml").write_text(text.replace(old, new))
    with pytest.raises(LakebookError, match=sentence):
        classification.read(str(tmp_path / "wrong.yaml"))


def test_a_file_that_is_not_there_is_one_clear_sentence():
    with pytest.raises(LakebookError, match="cannot be read"):
        classification.read("classification/absent.yaml")


@pytest.mark.parametrize("written", [None, b"\xff\xfe", b"CREATE VIEW other.x AS SELECT 1;\n"])
def test_a_file_of_reports_that_cannot_be_taken_is_one_clear_sentence(tmp_path, written):
    file = tmp_path / "reporting.sql"
    if written:
        file.write_bytes(written)
    with pytest.raises(LakebookError, match=r"reporting\.sql (cannot be read|may only hold)"):
        reporting.read(str(file), [])
