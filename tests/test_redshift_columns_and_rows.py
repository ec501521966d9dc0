"""Column privileges and row-level security in the stand-in's Redshift: what is hidden is nowhere to
be found.
"""

import contextlib
import uuid

import pytest
from test_redshift_rights import opened, person, run

NAME, PERSON = "redshift-hidden", "redshift-curious"
USER = f'"IAMR:{PERSON}"'


@pytest.fixture(scope="module")
def place(stand_in):
    return opened(NAME)


@pytest.fixture(scope="module")
def reader(place):
    return person(PERSON)


def made(place):
    """A new schema with a table."""
    name = f"s{uuid.uuid4().hex[:8]}"
    run(place, f"create schema {name}", f"create table {name}.t (id int, secret varchar(20))")
    return name


@contextlib.contextmanager
def protected(place, reader, schema):
    """A table of which the reader sees some columns, of some rows: `schema.people`."""
    run(place, "select 1", client=reader)  # whereby its user is made
    run(
        place,
        f"create table {schema}.people (id int, name varchar(20), salary int, ssn varchar(20),"
        " country varchar(2))",
        f"insert into {schema}.people values (1, 'ann', 1000, 'hidden-1', 'de'), (2, 'bob', 2000,"
        " 'hidden-2', 'de'), (3, 'eve', 31337, 'hidden-3', 'fr')",
        f"create role r_{schema}",
        f"grant role r_{schema} to {USER}",
        f"grant usage on schema {schema} to role r_{schema}",
        f"grant select (id, name, salary, country) on {schema}.people to role r_{schema}",
        f"create rls policy p_{schema} with (country varchar(2)) using (country = 'de')",
        f"attach rls policy p_{schema} on {schema}.people to role r_{schema}",
        f"alter table {schema}.people row level security on",
    )
    yield f"{schema}.people"
    run(place, f"drop rls policy p_{schema} cascade", f"drop role r_{schema}")


@pytest.fixture
def schema(place):
    return made(place)


@pytest.fixture
def people(place, reader, schema):
    with protected(place, reader, schema) as table:
        yield table


@pytest.fixture(scope="module")
def lasting(place, reader):
    """Such a table that no test changes."""
    with protected(place, reader, made(place)) as table:
        yield table


@pytest.fixture(scope="module")
def mine(place, reader, lasting):
    """A table with one column `x`, which the reader may change."""
    schema = made(place)
    run(
        place,
        f"create table {schema}.mine (x varchar(50))",
        f"grant usage on schema {schema} to {USER}",
        f"grant select, insert, update, delete on {schema}.mine to {USER}",
        f"insert into {schema}.mine values ('a')",
    )
    return f"{schema}.mine"


def test_only_granted_columns_of_the_policys_rows_are_read(place, reader, lasting):
    assert run(place, f"select id, name from {lasting} order by id", client=reader) == [
        [1, "ann"],
        [2, "bob"],
    ]
    assert run(place, f"select count(*) from {lasting}", client=reader) == [[2]]


def test_who_owns_or_administers_sees_everything(place, people):
    assert run(place, f"select count(*), max(ssn) from {people}") == [[3, "hidden-3"]]


@pytest.mark.parametrize(
    "sql",
    [
        "select ssn from {t}",
        "select * from {t}",
        "select x.* from {t} as x",
        'select "SSN" from {t}',
        "select id from {t} where ssn = 'hidden-1'",
        "select id from {t} order by ssn",
        "select count(*) from {t} group by ssn",
        "select max(ssn) from {t}",
        "select count(distinct ssn) from {t}",
        "with c as (select * from {t}) select id from c",
        "select id from (select id, ssn as harmless from {t}) x where harmless like 'hidden%'",
        "select a.id from {t} a join {t} b on a.ssn = b.ssn",
        "select case when ssn is null then 0 else 1 end from {t}",
        "select (select max(b.id) from {t} b where b.ssn = a.name) from {t} a",
        "select id, row_number() over (order by ssn) from {t}",
        "create temp table mine as select ssn from {t}",
        "create temp table mine as select * from {t}",
        (
            "unload ('select ssn from {t}') to 's3://nowhere/x/' iam_role"
            " 'arn:aws:iam::123456789012:role/x' format as parquet"
        ),
        "explain select ssn from {t}",
    ],
)
def test_a_hidden_column_is_refused_wherever_it_stands(place, reader, lasting, sql):
    with pytest.raises(
        AssertionError,
        match=r"permission denied for relation people|not associated|not authorized|does not exist",
    ) as refused:
        run(place, sql.format(t=lasting), client=reader)
    assert "hidden-" not in str(refused.value)


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("select id from {t} where salary = 31337", []),
        ("select max(salary) from {t}", [[2000]]),
        ("select count(*) from {t} where 1 / (salary - 31337) = 0", [[2]]),
        ("select count(*) from {t} where country <> 'de' or true", [[2]]),
        ("select a.name from {t} a left join {t} b on b.salary = 31337 where b.id is not null", []),
        ("select name from {t} order by salary desc limit 1", [["bob"]]),
        ("select count(*) from {t} where cast(name as varchar(3)) = 'eve'", [[0]]),
        ("select listagg(name, ',') within group (order by id) from {t}", [["ann,bob"]]),
    ],
)
def test_a_hidden_row_answers_nothing(place, reader, lasting, sql, answer):
    assert run(place, sql.format(t=lasting), client=reader) == answer


def test_a_hidden_row_never_fails_a_query(place, reader, lasting):
    visible = f"select cast(name as int) from {lasting} where name not in ('ann', 'bob')"
    assert run(place, visible, client=reader) == []  # eve is no number, and nobody hears of it


def test_a_policy_holds_below_a_late_binding_view_for_who_asks(place, reader, people, schema):
    run(
        place,
        f"create view {schema}.v as select name, ssn from {people} with no schema binding",
        f"grant select on {schema}.v to role r_{schema}",
    )
    assert run(place, f"select name, ssn from {schema}.v order by 1", client=reader) == [
        ["ann", "hidden-1"],
        ["bob", "hidden-2"],
    ]
    assert run(place, f"select count(*) from {schema}.v") == [[3]]


def test_a_view_that_is_bound_to_a_protected_table_is_refused_and_never_a_way_round(
    place, reader, people, schema
):
    run(
        place,
        f"create view {schema}.bound as select name from {people}",
        f"grant select on {schema}.bound to role r_{schema}",
    )
    with pytest.raises(AssertionError, match="WITH NO SCHEMA BINDING only"):
        run(place, f"select * from {schema}.bound", client=reader)


def test_without_a_policy_of_ones_own_a_protected_table_is_empty(place, reader, people, schema):
    run(place, f"detach rls policy p_{schema} on {people} from role r_{schema}")
    assert run(place, f"select count(*) from {people}", client=reader) == [[0]]
    run(place, f"alter table {people} row level security off")
    assert run(place, f"select count(*) from {people}", client=reader) == [[3]]


def test_several_policies_are_and_or_or(place, reader, people, schema):
    run(
        place,
        f"create rls policy q_{schema} with (id int) using (id = 3)",
        f"attach rls policy q_{schema} on {people} to role r_{schema}",
    )
    assert run(place, f"select count(*) from {people}", client=reader) == [[0]]
    run(place, f"alter table {people} row level security on conjunction type or")
    assert run(place, f"select count(*) from {people}", client=reader) == [[3]]
    run(place, f"drop rls policy q_{schema} cascade")


def test_a_revoked_column_is_gone_and_a_whole_grant_is_all_columns(place, reader, people, schema):
    run(place, f"revoke select (name) on {people} from role r_{schema}")
    with pytest.raises(AssertionError, match="permission denied for relation people"):
        run(place, f"select name from {people}", client=reader)
    run(place, f"grant select on {people} to role r_{schema}")
    assert run(place, f"select ssn from {people} order by 1", client=reader) == [
        ["hidden-1"],
        ["hidden-2"],
    ]


def test_rows_that_are_not_all_seen_are_not_changed(place, reader, people, schema):
    run(place, f"grant select, update, delete on {people} to role r_{schema}")
    for sql in (f"delete from {people}", f"update {people} set salary = 0"):
        with pytest.raises(
            AssertionError, match="local_aws does not change tables with row-level security"
        ):
            run(place, sql, client=reader)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("create rls policy x using (nothing = 1)", 'column "nothing" does not exist'),
        ("create rls policy x with (id int) using (id in (select 1))", "look something up"),
        ("attach rls policy nobody on {t} to public", 'RLS policy "nobody" does not exist'),
        (
            "attach rls policy p_{s} on {s}.t to public",
            'column "country" does not exist in relation "t"',
        ),
        ("attach rls policy p_{s} on {t} to role nobody", 'role "nobody" does not exist'),
        ("drop rls policy p_{s}", "because other objects depend on it"),
        (
            "grant select (colour) on {t} to public",
            'column "colour" of relation "people" does not exist',
        ),
        ("grant update (name) on {t} to public", "SELECT on single columns only"),
    ],
)
def test_what_makes_no_sense_is_refused(place, lasting, sql, said):
    with pytest.raises(AssertionError, match=said):
        run(place, sql.format(t=lasting, s=lasting.partition(".")[0]))


def test_only_superusers_manage_policies(place, reader, people, schema):
    for sql in (
        f"alter table {people} row level security off",
        f"drop rls policy p_{schema} cascade",
    ):
        with pytest.raises(AssertionError, match="must be superuser"):
            run(place, sql, client=reader)


def test_system_views_tell_what_holds(place, people, schema):
    columns = run(
        place,
        f"select column_name from svv_column_privileges where namespace_name = '{schema}' and"
        f" identity_name = 'r_{schema}' order by 1",
    )
    assert columns == [["country"], ["id"], ["name"], ["salary"]]
    attached = run(
        place,
        "select relname, polname, grantee, granteekind, is_rls_on from svv_rls_attached_policy"
        f" where relschema = '{schema}'",
    )
    assert attached == [["people", f"p_{schema}", f"r_{schema}", "role", True]]
    assert run(
        place, f"select rls_conjunction_type from svv_rls_relation where relschema = '{schema}'"
    ) == [["and"]]
    assert run(place, f"select polqual from svv_rls_policy where polname = 'p_{schema}'") == [
        ["country = 'de'"]
    ]


def test_protection_goes_with_its_table(place, people, schema):
    run(place, f"alter table {people} rename to persons")
    assert run(place, f"select relname from svv_rls_relation where relschema = '{schema}'") == [
        ["persons"]
    ]
    run(place, f"drop table {schema}.persons")
    assert run(
        place, f"select count(*) from svv_rls_attached_policy where relschema = '{schema}'"
    ) == [[0]]
    assert run(
        place, f"select count(*) from svv_column_privileges where namespace_name = '{schema}'"
    ) == [[0]]


@pytest.mark.parametrize(
    "sql",
    [
        "insert into mine values ((select max(ssn) from {t}))",
        "insert into mine select ssn from {t}",
        "with c as (select ssn from {t}) insert into mine select ssn from c",
        "update mine set x = s.ssn from (select ssn from {t}) s",
        "update mine set x = (select max(ssn) from {t})",
        "update mine set x = {t}.ssn from {t}",
        "delete from mine where x in (select ssn from {t})",
        "delete from mine using {t} where mine.x = {t}.ssn",
        "delete from mine using (select ssn from {t}) s where mine.x = s.ssn",
        (
            "merge into mine using {t} on mine.x = {t}.ssn when matched then update set x = 'y'"
            " when not matched then insert values ({t}.ssn)"
        ),
        "insert into mine values ((select max(salary)::varchar from {t} where country = 'fr'))",
    ],
)
def test_no_change_carries_a_hidden_value_away(place, reader, lasting, mine, sql):
    with contextlib.suppress(AssertionError):  # refused, or done without what is hidden
        run(place, sql.format(t=lasting).replace(" mine", f" {mine}"), client=reader)
    found = str(run(place, f"select x from {mine}"))
    assert "hidden-" not in found
    assert "31337" not in found
