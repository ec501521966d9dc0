"""Databases as companies have them: keys that do not hold in what is delivered, rows that a role
does not see, types with casts of somebody's own.
"""

import re
import shutil
import tempfile
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from nasty_source import SECRET, admin, secrets, server, source  # noqa: F401 - fixtures
from test_source import put_secret
from until import until

from lakebook.errors import LakebookError
from lakebook.reconcile.limits import LEAVE_OUT, limits
from lakebook.source.engines import connect_source
from lakebook.source.overview import unmet
from lakebook.source.postgresql import checks, connection
from local_aws.engines.postgresql import Server

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
create table s.bare (); create table s.awsdms_ddl_audit (c_key bigserial primary key);
create table s.zones (a timestamptz, b timestamptz, c timestamptz, d timestamptz, e timestamptz);
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


def test_rows_of_heirs_are_told_of(source, tables, server):
    with server.connect("nasty") as admin:
        admin.execute(
            "insert into s.person values (1, 'ann'), (2, 'bo');"
            " insert into s.employee values (2, 'cy', 10), (3, 'di', 20)"
        )
    found = source.losses([tables["person"], tables["employee"], tables["parted"]], 63)
    [told] = found[found["type"] == "table"].to_dict("records")
    assert (told["table"], told["rows_affected"]) == ("s.person", 2)
    assert "those of s.employee, which inherit from it" in told["loses"]


def test_a_table_without_columns_is_not_replicated_and_says_why(source, tables):
    assert tables["bare"].not_replicated == "it has no column"
    found = source.losses([tables["bare"]], 63)
    [told] = found[found["table"] == "s.bare"].to_dict("records")
    assert told["loses"] == "the whole table: it is left out, as it has no column"


def test_a_table_whose_name_is_no_folders_is_left_out_and_says_why(source, server):
    with server.connect("nasty") as admin:
        admin.execute(
            'create schema slashed; create table slashed.a (id int); create table slashed."a/b"'
            ' (id int); create table slashed."." (id int); create table slashed.".a" (id int)'
        )
        found = {each.name: each.replicated for each in source.tables(["slashed"])}
        assert found == {"a": True, "a/b": False, ".": False, ".a": True}
        admin.execute("drop schema slashed cascade")


def test_tables_that_dms_makes_itself_are_no_tables_of_the_company(source, tables):
    assert "awsdms_ddl_audit" not in tables
    found = source.losses(list(tables.values()), 63)
    own = found[found["type"] == "table of AWS DMS itself"]
    assert own["table"].tolist() == ["s.awsdms_ddl_audit"]


def test_the_zone_is_one_line_for_all_columns(source, tables):
    found = source.losses(list(tables.values()), 63)
    [zone] = found[found["loses"].str.startswith("the zone")]["column"]
    assert zone == "s.zones.a, s.zones.b, s.zones.c and 2 more"


@contextmanager
def role(secrets, server, admin, *changes, name="mig"):
    """A role that may read the schemas r and public, changed by the statements; a source as it."""
    password = server.password(name)
    admin.execute(
        f"create role {name} login password '{password}'; create schema if not exists r;"
        f" grant usage on schema r to {name}"
    )
    try:
        for each in changes:
            admin.execute(each)
        admin.execute(f"grant select on all tables in schema r to {name}")
        source = connect_source(put_secret(secrets, username=name, password=password)[0])
        yield source
        source.close()
    finally:
        admin.execute(
            f"drop schema r cascade; drop schema if exists oracle cascade;"
            f" drop owned by {name}; drop role {name}"
        )


ORDERS = """create table r.orders (id int primary key, tenant text);
insert into r.orders select g, case when g % 4 = 0 then 'north' else 'south' end
  from generate_series(1, 1000) g;
alter table r.orders enable row level security;
create policy p on r.orders for select using (tenant = 'north');"""


def test_a_table_seen_only_through_row_level_security_is_refused_with_the_remedy(
    secrets, server, admin
):
    other = "create table r.others as select 1 as id"
    with role(secrets, server, admin, ORDERS, other) as source:
        with pytest.raises(LakebookError, match=r"sees r\.orders only through row-level") as caught:
            source.tables(["r"])
        left_out = re.search(r"excluded_tables: \[(.*)\]", str(caught.value))[1]
        assert [each.name for each in source.tables(["r"], [left_out.strip('"')])] == ["others"]
        with pytest.raises(LakebookError, match="row-level security policy"):
            source.query("select count(*) from r.orders")
        admin.execute(re.search("ALTER ROLE .* BYPASSRLS", str(caught.value))[0])
        assert [each.rows for each in source.tables(["r"], ["others"])] == [1000]


OWNED = "alter table r.orders owner to mig; grant create on schema r to mig;"


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        (OWNED, False),
        (OWNED + "alter table r.orders force row level security", True),
        ("create policy every on r.orders for select to mig using (true)", True),
        ("alter role mig set row_security = off", True),
        ("alter table r.orders disable row level security", False),
        ("create role holder; alter table r.orders owner to holder; grant holder to mig", False),
        (
            "create role seer bypassrls; grant seer to mig",  # an attribute is not inherited
            True,
        ),
    ],
)
def test_row_level_security_is_asked_for_as_it_is_active_for_the_role(
    secrets, server, admin, changes, refused
):
    with role(secrets, server, admin, ORDERS, changes) as source:
        try:
            if refused:
                with pytest.raises(LakebookError, match="row-level security"):
                    source.tables(["r"])
            else:
                assert [each.rows for each in source.tables(["r"])] == [1000]
        finally:
            admin.execute(
                "alter table r.orders owner to postgres; drop role if exists holder;"
                " drop role if exists seer"
            )


def test_policies_of_partitions_and_heirs_filter_nothing_that_is_read_through_their_parent(
    secrets, server, admin
):
    parts = """create table r.parts (id int) partition by range (id);
    create table r.parts_1 partition of r.parts for values from (0) to (10);
    alter table r.parts_1 enable row level security;
    insert into r.parts select generate_series(0, 9)"""
    with role(secrets, server, admin, parts) as source:
        assert [each.rows for each in source.tables(["r"])] == [10]


BENT = """create schema oracle; create domain oracle.date as timestamp(0);
create function oracle.format(text, anyelement) returns text language sql
  immutable as $$ select 'shadowed' $$;
create function oracle.left(text, int) returns text language sql immutable as $$ select 'no' $$;
create function oracle.round(numeric, int) returns numeric language sql
  immutable as $$ select 0 $$;
create function oracle.same(text, text) returns boolean language sql
  immutable as $$ select true $$;
create operator oracle.= (leftarg = text, rightarg = text, function = oracle.same);
create table r.v (id int primary key, at timestamp, n numeric, span interval, b bytea,
  r int4range, ip inet);
insert into r.v values (1, '2024-02-29 12:34:56.5', 1.5, '1 day', '\\x00ff', '[1,5)',
  '10.0.0.1');
grant usage on schema oracle to mig;
alter role mig set search_path = oracle, "$user", public, pg_catalog;
alter role mig set standard_conforming_strings = off;
alter role mig set datestyle = 'German'; alter role mig set intervalstyle = 'iso_8601';
alter role mig set bytea_output = 'escape'; alter role mig set xmlbinary = 'hex';
alter role mig set client_encoding = 'LATIN1'; alter role mig set timezone = 'Asia/Tokyo';
alter role mig set extra_float_digits = -10; alter role mig set lock_timeout = '1ms';
alter role mig set transform_null_equals = on; alter role mig set quote_all_identifiers = on;
alter role mig set default_transaction_isolation = 'serializable';
alter role mig set default_transaction_deferrable = on;
alter role mig set idle_in_transaction_session_timeout = '10s';
alter role mig set idle_session_timeout = '10s'; alter role mig set transaction_timeout = '10s';
alter role mig set statement_timeout = '10s'; alter role mig set array_nulls = off"""


def test_defaults_of_the_role_bend_nothing_that_is_read(secrets, server, admin, source):
    with role(secrets, server, admin, BENT) as bent:
        [table], [expected] = bent.tables(["r"]), source.tables(["r"])
        assert table == expected
        assert [each.type for each in table.columns] == [each.type for each in expected.columns]
        for each in (bent, source):
            relation = each.relation(table, 63)
            assert relation.select(relation.names, relation.names) == [
                [1, datetime.fromisoformat("2024-02-29T12:34:56.5"), Decimal("1.5"), "1 DAY",
                 b"\x00\xff", "[1,5)", "10.0.0.1"]
            ]  # fmt: skip
        assert bent.fingerprint([table]) == source.fingerprint([table])
        assert len(bent.losses([table], 63)) == len(source.losses([table], 63))
        for name, value in {"lock_timeout": "1min", "statement_timeout": "6h"}.items():
            assert bent.query(f"show {name}") == source.query(f"show {name}") == [[value]]


@pytest.mark.parametrize("queued", [False, True])
def test_a_locked_table_is_told_with_who_holds_it(secrets, server, admin, monkeypatch, queued):
    monkeypatch.setitem(connection.SETTINGS, "lock_timeout", "200ms")
    with (
        role(secrets, server, admin, "create table r.orders (id int primary key)") as source,
        server.connect("nasty") as other,
        server.connect("nasty") as waiting,
    ):
        other.autocommit = False
        held = "ACCESS SHARE" if queued else "ACCESS EXCLUSIVE"
        other.execute(f"lock table r.orders in {held} mode")
        pid = other.info.backend_pid
        if queued:
            waiting.pgconn.send_query(b"lock table r.orders; drop table r.orders")
            until(lambda: source.query("select 1 from pg_locks where not granted"))
        with pytest.raises(LakebookError, match=rf"r\.orders by process {pid} of postgres \("):
            source.tables(["r"])
        admin.execute("grant pg_read_all_stats to mig")
        with pytest.raises(LakebookError, match=rf"\(lock table r\.orders in {held} mode\)"):
            source.tables(["r"])
        if queued:
            waiting.cancel()
            while waiting.pgconn.get_result():
                """Its refusal is there to be read."""
        other.rollback()
        assert len(source.tables(["r"])) == 1


MADE = """create schema d; create extension postgres_fdw;
create type d.state as enum ('open', 'shut'); create type d.pair as (a int, of d.state);
create type d.span as range (subtype = int4); create domain d.states as d.state[];
create domain d.part as d.pair; create type d.made as (x int);
create table d.door (id int primary key, s d.state); insert into d.door values (1, 'open');
create table d.parts (id int primary key, p d.part); insert into d.parts values (1, '(1,open)');
create table d.many (id int primary key, s d.states); insert into d.many values (1, '{open}');
create table d.sums (id int primary key, n int, total int generated always as (n * 2) virtual);
insert into d.sums values (1, 2);
create table d.refers (id int primary key, t regclass); insert into d.refers values (1, 'd.door');
create table d.base (id int); create table d.heir (v int) inherits (d.base);
insert into d.heir values (1, 1); create table d.abroad (id int, at int); insert into d.abroad
  values (1, 1);
create server here foreign data wrapper postgres_fdw options (dbname 'nasty', host '127.0.0.1',
  port '%s'); create user mapping for postgres server here
  options (user 'postgres', password '%s');
create table d.split (id int, at int) partition by range (at);
create foreign table d.split_1 partition of d.split for values from (0) to (10) server here
  options (schema_name 'd', table_name 'abroad');
"""


@pytest.fixture(scope="module")
def made(server, source):
    with server.connect("nasty") as admin:
        admin.execute(MADE % (server.port, server.password("postgres")))
    yield source.tables(["d"])
    with server.connect("nasty") as admin:
        admin.execute("drop schema d cascade; drop extension postgres_fdw cascade")


@pytest.mark.parametrize(
    "change",
    [
        "alter type d.state rename value 'shut' to 'locked'",
        "alter type d.pair rename attribute a to b",
        "alter domain d.part add constraint small check (true)",
        "alter table d.sums alter column total set expression as (n * 3)",
        "alter table d.door rename to gate; alter table d.gate rename to door2",
        "update d.heir set v = 2",
        "update d.abroad set at = 2",
        "create table d.later () inherits (d.base)",
        "alter foreign table d.split_1 options (add fetch_size '10')",
    ],
)
def test_the_fingerprint_changes_with_what_values_are_made_of(made, source, admin, change):
    seen = [each for each in made if each.name not in ("door", "abroad", "heir")]
    before = source.fingerprint(seen)
    assert source.fingerprint(seen) == before
    admin.execute(change)
    assert source.fingerprint(seen) != before


def test_a_large_table_is_read_where_no_counters_tell_of_changes(
    made, source, server, admin, monkeypatch
):
    monkeypatch.setattr(checks, "SCANNED_BYTES", -1)
    many = [each for each in made if each.name == "many"]
    counted = source.fingerprint(many)
    uncounted = "alter role postgres set track_counts = off"
    admin.execute(uncounted)
    try:
        late = connect_source(SECRET)
        assert late.query("show track_counts") == [["off"]]
        read = late.fingerprint(many)
        assert read != counted
        monkeypatch.undo()
        assert read == source.fingerprint(many)
        late.close()
    finally:
        admin.execute("alter role postgres reset track_counts")


@pytest.fixture
def standby(server):
    """A hot standby of the server."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o777)
    replica, url = Server(directory), f"host=127.0.0.1 port={server.port} user=postgres"
    shutil.copy2(server.directory / "postgres.password", directory)
    server._run(
        *("pg_basebackup", "-D", replica._data, "-R", "--checkpoint=fast", "--no-sync"),
        *("-d", f"{url} password={server.password('postgres')}"),
    )
    replica.start()
    yield replica
    replica.remove()


def test_a_standby_is_read_as_its_counters_tell_of_no_change(
    made, secrets, server, standby, admin, monkeypatch
):
    monkeypatch.setattr(checks, "SCANNED_BYTES", -1)
    admin.execute("create unlogged table d.spilled (id int)")
    name, _ = put_secret(secrets, port=standby.port)
    source = connect_source(name)
    until(lambda: source.query("select to_regclass('d.spilled')")[0][0])
    with pytest.raises(
        LakebookError, match=r"no rows of the unlogged d\.spilled; take the primary"
    ):
        source.tables(["d"], ["split"])
    sums = [each for each in source.tables(["d"], ["spilled", "split"]) if each.name == "sums"]
    before = source.fingerprint(sums)
    assert source.fingerprint(sums) == before
    admin.execute("drop table d.spilled; update d.sums set n = 3")
    until(lambda: source.fingerprint(sums) != before)
    source.close()


def test_defaults_that_would_bend_what_dms_reads_are_told_with_the_remedy(secrets, server, admin):
    settings = (
        "intervalstyle = 'iso_8601'", "datestyle = 'SQL, DMY'", "lock_timeout = '1s'",
        "extra_float_digits = -3", "lc_monetary = 'C'", "transaction_timeout = '1h'",
    )  # fmt: skip
    changes = [f"alter role mig set {each}" for each in settings]
    with role(secrets, server, admin, "create table r.t (id int)", *changes) as source:
        [told] = unmet(source.prerequisites(source.tables(["r"])), "full load")
        for name in ("IntervalStyle = iso_8601", "lock_timeout = 1000", "lc_monetary = C"):
            assert name in told
        admin.execute(told.partition(": DMS's")[2].partition(": ")[2])
    admin.execute("drop role if exists mig")


def test_the_order_of_day_and_month_bends_nothing(secrets, server, admin):
    change = "alter role mig set datestyle = 'ISO, DMY'; create table r.t (id int)"
    with role(secrets, server, admin, change) as source:
        assert unmet(source.prerequisites(source.tables(["r"])), "full load") == []


def columns_of(kind, count):
    return ", ".join(f"column_{n}_of_many {kind}" for n in range(count))


WIDE = f"""create schema w; create table w.most ({columns_of("int", 1599)}, j json);
create table w.told ({columns_of("int", 1400)});
{"".join(f"comment on column w.told.column_{n}_of_many is '{'x' * 250}';" for n in range(1400))}
create table w.fits ({columns_of("int", 200)}); create table w.wide ({columns_of("text", 1450)});
create table w.t (id int, small numeric(38, 38), long varchar(40000), short varchar(40000),
  lob text, doc json, at timestamp, b bytea);
insert into w.t values (1, 0.5, repeat('é', 40000), 'a', repeat('x', 70000), '"a"',
  '9999-12-31 23:59:59.999999', '\\x00'), (2, 0, 'a', 'a', 'b', '1', 'infinity', null);"""


def test_what_no_layer_holds_is_told_with_what_to_do(source, server):
    with server.connect("nasty") as admin:
        admin.execute(WIDE)
        found = limits(source, source.tables(["w"]), 100)
        told = {(row.table, row.column, row.found): row.do for row in found.itertuples()}
        [size] = [each for each in told if each[0] == "w.told" and each[2] != "longer"]
        assert told.pop(size).endswith("or shorten the columns' comments")
        told.pop(("w.told", "", "longer"), None)
        assert told == {
            ("w.most", "", "1,601"): LEAVE_OUT,
            ("w.wide", "", "longer"): LEAVE_OUT,
            ("w.t", "small", "38"): f"{LEAVE_OUT}, or declare the column with fewer decimals in the"
            " source",
            ("w.t", "long", "1 values"): LEAVE_OUT,
            ("w.t", "lob", "1 values"): "set lob_max_kilobytes to 63 or less, which cuts them, or"
            f" {LEAVE_OUT}",
            ("w.t", "at", "1 values"): "nothing: Athena shows 10000-01-01 00:00:00, Redshift and"
            " the files what they are",
        }
        assert "lob" not in set(limits(source, source.tables(["w"]), 63)["column"])
        admin.execute("drop schema w cascade")
