"""Databases as companies have them: keys that do not hold in what is delivered, rows that a role
does not see, types with casts of somebody's own.
"""

import pytest
from nasty_source import secrets, server, source  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures

SCHEMA = """
create schema s;
create table s.reading (id int primary key, v numeric not null, iv interval not null,
  fixed numeric(10, 2) not null, cash money not null,
  wide numeric(50, 2) not null, t text not null);
create table s.person (id int primary key, name text not null);
create table s.employee (salary numeric(10, 2), primary key (id)) inherits (s.person);
create table s.parted (id int not null, at date) partition by range (id);
create table s.parted_1 partition of s.parted for values from (0) to (10);
alter table only s.parted add primary key (id);
create table s.by_day (day date primary key); insert into s.by_day values ('2024-01-01');
create table s.by_any_day (day date primary key);
insert into s.by_any_day values ('infinity'), ('9999-12-31');
create table s.by_number (n numeric(10) primary key); insert into s.by_number values (1), (2);
create table s.by_nan (n numeric(10) primary key); insert into s.by_nan values ('NaN');
create table s.by_code (code text primary key); insert into s.by_code values ('a'), ('b');
create table s.by_blank (code text primary key); insert into s.by_blank values ('a'), ('a ');
create table s.by_char (code char(3) primary key); insert into s.by_char values ('a');
create table s.rounded (n numeric primary key);
insert into s.rounded values (1.0000001), (1.0000002);
create table s.by_size (r int4multirange primary key);
insert into s.by_size select range_agg(int4range(g * 2, g * 2 + 1)) from generate_series(1, 60) g;
create table s.by_fk (id int primary key);
create table s.refers (
  id int primary key, fine int references s.by_fk (id), late int, loose int
);
alter table s.refers add constraint late foreign key (late) references s.by_fk not valid;
alter table s.refers add constraint loose foreign key (loose) references s.by_fk not enforced;
create table s.unwatched (id int primary key, off int references s.by_fk);
alter table s.unwatched disable trigger all;
create table s.of_heirs (id int primary key, person int references s.person);
create table s.late_not_null (id int primary key, v text, w text);
insert into s.late_not_null values (1, null, null);
alter table s.late_not_null add constraint later not null v not valid;
create table s.base (id int, v text, constraint own not null v no inherit);
create table s.heir (w text) inherits (s.base); insert into s.heir values (1, null, null);
"""


@pytest.fixture(scope="module")
def tables(server, source):
    with server.connect("nasty") as admin:
        admin.execute(SCHEMA)
    return {each.name: each for each in source.tables(["s"])}


def columns(table):
    return {each.name: each for each in table.columns}


def test_a_column_that_a_known_loss_makes_null_is_nullable_in_the_lake(tables):
    found = columns(tables["reading"])
    assert not any(each.nullable for each in found.values())
    assert [name for name, each in found.items() if each.nullable_in_lake] == ["v", "iv", "fixed"]


@pytest.mark.parametrize("table", ["late_not_null", "base"])
def test_a_column_is_nullable_where_not_null_does_not_hold_of_every_row(tables, table):
    assert columns(tables[table])["v"].nullable


def test_a_key_that_holds_in_what_is_delivered_is_unique(tables):
    assert tables["reading"].unique_key == ("id",)
    for name in ("by_day", "by_number", "by_code", "by_char", "employee"):
        assert len(tables[name].unique_key) == 1, name


@pytest.mark.parametrize(
    "table", ["person", "parted", "by_any_day", "by_nan", "by_blank", "rounded", "by_size"]
)
def test_a_key_that_repeats_in_what_is_delivered_is_not_unique(tables, table):
    assert tables[table].primary_key
    assert tables[table].unique_key == ()


def test_a_foreign_key_holds_only_where_every_row_obeys_it(tables):
    found = {each.columns[0]: each.holds for each in tables["refers"].foreign_keys}
    assert found == {"fine": True, "late": False, "loose": False}
    for name in ("of_heirs", "unwatched"):
        assert [each.holds for each in tables[name].foreign_keys] == [False]
