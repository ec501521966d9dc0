"""DMS's table mapping: wildcards, precedence, renaming, and the refusal of what is not done."""

import json

import pytest
from dms_tasks import included, mapping, transformed

from local_aws.dms import table_mapping
from local_aws.dms.table_mapping import Added, MappingError

ALL = included({"schema-name": "%", "table-name": "%"})
TABLE, COLUMN = (
    {"schema-name": "s", "table-name": "t"},
    {"schema-name": "s", "table-name": "t", "column-name": "c"},
)


def parse(*rules):
    return table_mapping.parse(mapping(rules))


@pytest.mark.parametrize(
    ("pattern", "matches", "does_not"),
    [
        ("%", ["a", "", "a\nb", "表"], []),
        ("order_items", ["order_items", "orderXitems"], ["order__items", "Order_items"]),
        ("order[_]items", ["order_items"], ["orderXitems"]),
        ("[ab]%", ["a", "bcd"], ["c", ""]),
        ("[a-d]x", ["bx"], ["ex", "-x"]),
        ("[%]", ["%"], ["x"]),
        ("[[]x]", ["[x]"], ["x"]),
        ("a.b*", ["a.b*"], ["axb", "a.bbb"]),
        ("[]x", ["[]x"], ["x"]),
        ("[^a]", ["a", "^"], ["b"]),
    ],
)
def test_a_pattern_matches_as_dms_says(pattern, matches, does_not):
    rules = parse(*included({"schema-name": "s", "table-name": pattern}))
    assert [name for name in [*matches, *does_not] if rules.select("s", name)] == matches


def test_exclude_wins_whatever_the_order():
    gone = included({"schema-name": "s", "table-name": "t%"}, action="exclude")
    for rules in (parse(*gone, *ALL), parse(*ALL, *gone)):
        assert rules.select("s", "t1") is None
        assert rules.select("s", "u") is not None


def test_explicit_takes_the_name_as_it_is():
    rules = parse(*included({"schema-name": "s", "table-name": "a_b"}, action="explicit"))
    assert rules.select("s", "a_b")
    assert not rules.select("s", "axb")


def test_views_come_only_when_asked_for():
    assert not parse(*ALL).select("s", "v", "v")
    view = {"schema-name": "s", "table-name": "%", "table-type": "view"}
    assert [bool(parse(*included(view)).select("s", "x", kind)) for kind in "rpvm"] == [
        False,
        False,
        True,
        True,
    ]
    assert [
        bool(parse(*included({**view, "table-type": "all"})).select("s", "x", kind))
        for kind in "rpvm"
    ] == [True] * 4


def test_the_highest_load_order_counts():
    assert parse(*ALL, *included(TABLE, **{"load-order": "5"})).select("s", "t").load_order == 5


def condition(*filters):
    return parse(*included(TABLE, filters=list(filters))).select("s", "t").condition


def a_filter(column, *conditions):
    return {"filter-type": "source", "column-name": column, "filter-conditions": list(conditions)}


def test_filters_become_conditions_with_their_values_quoted():
    between = {"filter-operator": "between", "start-value": "1", "end-value": "2"}
    assert (
        condition(a_filter('a"b', between, {"filter-operator": "null"}))
        == '("a""b" between \'1\' and \'2\' or "a""b" is null)'
    )
    two = condition(
        a_filter("a", {"filter-operator": "ste", "value": "o'r"}),
        a_filter("b", {"filter-operator": "noteq", "value": "\\"}),
    )
    assert two == "(\"a\" <= 'o''r') and (\"b\" <> E'\\\\')"


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("rename", {"value": "new"}, "new"),
        ("convert-lowercase", {}, "pre_name_suf"),
        ("convert-uppercase", {}, "PRE_NAME_SUF"),
        ("add-prefix", {"value": "x_"}, "x_Pre_Name_Suf"),
        ("add-suffix", {"value": "_x"}, "Pre_Name_Suf_x"),
        ("remove-prefix", {"value": "Pre_"}, "Name_Suf"),
        ("remove-suffix", {"value": "_Suf"}, "Pre_Name"),
        ("replace-prefix", {"old-value": "Pre", "value": "Ab\\1"}, "Ab\\1_Name_Suf"),
        ("replace-suffix", {"old-value": "Suf", "value": "Z"}, "Pre_Name_Z"),
    ],
)
def test_schemas_tables_and_columns_are_renamed(action, more, expected):
    name, any_column = "Pre_Name_Suf", {"schema-name": "%", "table-name": "%", "column-name": "%"}
    rules = [
        transformed(action, target, any_column, **more) for target in ("schema", "table", "column")
    ]
    found = parse(*ALL, *rules)
    assert [
        found.schema_name(name),
        found.table_name("s", name),
        found.column_name("s", "t", name),
    ] == [expected] * 3


def test_only_the_first_renaming_of_an_object_counts():
    rules = parse(
        *ALL,
        transformed("rename", "table", TABLE, value="first"),
        transformed("convert-uppercase", "table", {**TABLE, "table-name": "%"}),
    )
    assert (rules.table_name("s", "t"), rules.table_name("s", "u")) == ("first", "U")


def test_columns_are_removed_added_and_made_strings():
    added = [
        transformed("add-column", "column", TABLE, value=name, expression=text)
        for name, text in {
            "seq": "$AR_H_CHANGE_SEQ",
            "text": "'it''s'",
            "number": "-1.5",
            "quoted": '"x"',
        }.items()
    ]
    change = transformed(
        "change-data-type",
        "column",
        {**COLUMN, "column-name": "d"},
        **{"data-type": {"type": "string", "length": 32}},
    )
    rules = parse(*ALL, transformed("remove-column", "column", COLUMN), change, *added)
    assert (rules.column_name("s", "t", "c"), rules.column_name("s", "t", "d")) == (None, "d")
    assert (
        rules.string_length("s", "t", "d"),
        rules.string_length("s", "t", "e"),
        rules.string_length("s", "u", "d"),
    ) == (32, None, None)
    assert rules.added_columns("s", "t") == [
        Added("seq", None),
        Added("text", "it's"),
        Added("number", "-1.5"),
        Added("quoted", "x"),
    ]
    assert rules.added_columns("s", "u") == []


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"rule-type": "table-settings"}], "table-settings is not done"),
        (included(TABLE, action="take"), "include, exclude or explicit"),
        (included({"schema-name": "s"}), "needs schema-name and table-name"),
        (included({**TABLE, "table-type": "index"}), "table-type"),
        (included({**TABLE, "table-name": "%"}, action="explicit"), "no % wildcard"),
        (included(TABLE, action="exclude"), "includes nothing"),
        (included(TABLE, filters=[{"column-name": "a"}]), "cannot read its filter"),
        (
            included(TABLE, filters=[a_filter("a", {"filter-operator": "like", "value": "x"})]),
            "cannot read its filter",
        ),
        (
            [*ALL, transformed("include-column", "column", COLUMN)],
            "include-column of rule-target column is not done",
        ),
        ([*ALL, transformed("define-primary-key", "table", TABLE)], "define-primary-key"),
        ([*ALL, transformed("rename", "table", TABLE)], "rename needs value"),
        ([*ALL, transformed("remove-column", "column", TABLE)], "needs column-name"),
        (
            [
                *ALL,
                transformed(
                    "change-data-type", "column", COLUMN, **{"data-type": {"type": "int8"}}
                ),
            ],
            "to string only",
        ),
        (
            [*ALL, transformed("add-column", "column", TABLE, value="x", expression="$a || $b")],
            "not $a || $b",
        ),
        ([*ALL, transformed("add-column", "column", TABLE, value="x")], "needs expression"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_named(rules, words):
    with pytest.raises(MappingError) as refused:
        parse(*rules)
    assert words in str(refused.value)


def test_two_rules_of_one_id_are_refused():
    text = json.dumps({"rules": [{**ALL[0], "rule-id": "1"}, {**ALL[0], "rule-id": "1"}]})
    with pytest.raises(MappingError, match="rule-id of its own"):
        table_mapping.parse(text)


@pytest.mark.parametrize("text", ["", "[]", '{"rules": {}}', '{"rules": [1]}', '{"rules": [{}]}'])
def test_a_document_of_another_form_is_refused(text):
    with pytest.raises(MappingError):
        table_mapping.parse(text)
