"""What looks like somebody's data, by name, comment and sample."""

import pytest

from lakebook.access.personal_data import PERSONAL, SENSITIVE, looks_like


@pytest.mark.parametrize(
    ("name", "comment", "values", "place", "because"),
    [
        ("passport_number", "", [], SENSITIVE, "its name says passport"),
        ("birthDate", "", [], SENSITIVE, "its name says birth"),
        ("first_name", "", [], PERSONAL, "its name says first name"),
        ("contact", "Private e-mail of the customer", [], PERSONAL, "its comment says e mail"),
        (
            "c1",
            "",
            ["ann@mail.com", "bob@mail.org"],
            PERSONAL,
            "2 of 2 values are e-mail addresses",
        ),
        (
            "c1",
            "",
            ["+41446681800", "+14155552671"],
            PERSONAL,
            "2 of 2 values are telephone numbers",
        ),
        (
            "c1",
            "",
            ["10.0.0.1", "2001:db8::1/64"],
            PERSONAL,
            "2 of 2 values are internet addresses",
        ),
        (
            "c1",
            "",
            ["GB33 BUKB 2020 1555 5555 55"],
            SENSITIVE,
            "1 of 1 values are bank accounts (IBAN)",
        ),
        ("c1", "", ["4111 1111 1111 1111"], SENSITIVE, "1 of 1 values are card numbers"),
    ],
)
def test_what_is_somebodys_is_suggested_with_the_reason(name, comment, values, place, because):
    assert looks_like(name, comment, values) == (place, because)


@pytest.mark.parametrize(
    ("name", "comment", "values"),
    [
        ("name", "of the airport", ["Ulm", "Bern"]),
        ("flight_id", "", []),
        ("carrier", "", ["UA", "AA"]),
        ("session", "", []),
        ("c1", "", ["ann@mail.com", "none", "none"]),  # too few to say so
        ("digits", "", ["1234567890123", "42"]),
        ("c1", "", []),
    ],
)
def test_what_is_nobodys_is_left_alone(name, comment, values):
    assert looks_like(name, comment, values) == (0, "")


def test_the_reason_never_holds_a_value():
    assert "ann" not in looks_like("c1", "", ["ann@mail.com"])[1]
