"""The demo database: real flights, invented customers, and every oddity that a migration should
meet in a rehearsal.
"""

import hashlib
import json

import awswrangler as wr
import psycopg
import pytest

from local_aws import demo
from local_aws.engines.postgresql import Server, ServerError

SCALE = 0.01
TABLES = {
    "operations.airlines": 16,
    "operations.airports": 1458,
    "operations.planes": 3322,
    "operations.weather": 26115,
    "customers.passengers": 2000,
    "customers.bookings": 5000,
    "customers.payments": 4500,
    "customers.refunds": 0,
    "customers.support_messages": 100,
    "customers.scanned_documents": 25,
    "customers.web_visits": 1010,
    'customers."LoyaltyCards"': 600,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("demo"))
    with server:
        yield server
    server.remove()


@pytest.fixture(scope="module")
def source(server):
    return demo.build(server, SCALE)


@pytest.fixture
def other(tmp_path):
    """A second server, of one test alone."""
    server = Server(tmp_path)
    with server:
        yield server
    server.remove()


@pytest.fixture
def ask(source):
    """A function that asks the database, as the user that DMS uses, and returns the first row."""
    facts = {
        "host": source.host,
        "port": source.port,
        "user": source.username,
        "password": source.password,
    }
    with psycopg.connect(dbname=source.database, autocommit=True, **facts) as connection:
        yield lambda question: connection.execute(question).fetchone()


def checksums(server):
    """An MD5 of each table's rows as text, whatever their order."""
    with server.connect(demo.DATABASE) as connection:
        return {
            table: (
                hashlib.md5(
                    str(
                        connection.execute(f"select t::text from {table} t order by 1").fetchall()
                    ).encode()
                ).hexdigest()
            )
            for table in [*TABLES, "operations.flights"]
        }


def test_every_table_has_its_rows(ask):
    for table, rows in TABLES.items():
        assert ask(f"select count(*) from {table}") == (rows,), table


def test_a_small_demo_has_a_part_of_the_flights_from_the_whole_year(ask):
    count, months, last = ask(
        "select count(*), count(distinct extract(month from scheduled_departure)), max(flight_id)"
        " from operations.flights"
    )
    assert 3000 < count < 3800
    assert months == 12
    assert 330_000 < last <= 336_776


@pytest.mark.rehearsal
def test_flights_are_the_published_ones(other):
    demo.build(other)
    with other.connect(demo.DATABASE) as connection:
        assert connection.execute(
            "select count(*), sum(departure_delay), sum(arrival_delay), sum(air_time),"
            " sum(distance), sum(flight_number), count(tail_number), count(*) filter (where"
            " cancelled) from operations.flights"
        ).fetchone() == (
            336_776,
            4_152_200,
            2_257_174,
            49_326_610,
            350_217_607,
            664_096_549,
            334_264,
            8_255,
        )
        assert connection.execute("select count(*) from customers.bookings").fetchone() == (
            500_000,
        )
        assert connection.execute(
            "select sum(length(content)) < 60000000 from customers.scanned_documents"
        ).fetchone() == (True,)


def test_a_flight_is_read_as_it_was_published(ask):
    assert ask(
        "select flight_id, carrier, flight_number, tail_number, scheduled_departure::text,"
        " departed_at::text, departure_delay, scheduled_arrival::text, arrived_at::text,"
        " arrival_delay, air_time, distance, departure_hour::text from operations.flights where"
        " cancelled = false order by flight_id limit 1"
    ) == published_flight(
        ask("select min(flight_id) from operations.flights where cancelled = false")[0]
    )


def published_flight(line):
    """The fields of one line of the published list, counted from 1."""
    with demo._published("flights.csv") as lines:
        row = lines.read().decode().splitlines()[line].split(",")
    clock = lambda text: f"{int(text) // 100:02}:{int(text) % 100:02}:00"  # noqa: E731 - used here alone
    date = "-".join(part.zfill(2) for part in row[:3])
    return (
        *(
            line,
            row[9],
            int(row[10]),
            row[11],
            f"{date} {clock(row[4])}",
            f"{date} {clock(row[3])}",
            int(row[5]),
        ),
        *(clock(row[7]), clock(row[6]), int(row[8]), int(row[14]), int(row[15])),
        row[18].replace("T", " ").replace("Z", "+00"),
    )


def test_names_are_in_many_scripts_and_hold_quotes(ask):
    assert ask("select count(*) from customers.passengers where last_name ~ '[一-龥]'")[0] > 0
    assert (
        ask(
            "select count(*) from customers.passengers where last_name = '𠮷田' or first_name ="
            " E'Zoe\\u0308'"
        )[0]
        > 0
    )
    assert ask("""select count(*) from customers.passengers where last_name = 'O''Brien'""")[0] > 0


@pytest.mark.parametrize(
    "column", ["first_name", "email", "passport_number", "birth_date", "newsletter"]
)
def test_some_personal_data_are_missing(ask, column):
    missing, rows = ask(
        f"select count(*) filter (where {column} is null), count(*) from customers.passengers"
    )
    assert 0 < missing < rows / 2


def test_some_exchange_rates_have_more_digits_than_dms_keeps(ask):
    more, fewer = ask(
        "select count(*) filter (where exchange_rate <> round(exchange_rate, 6)), count(*) filter"
        " (where exchange_rate = round(exchange_rate, 6)) from customers.payments"
    )
    assert more > 100
    assert fewer > 100
    assert ask(
        "select atttypmod from pg_attribute where attrelid = 'customers.payments'::regclass and"
        " attname = 'exchange_rate'"
    ) == (-1,)


def test_json_null_and_sql_null_both_occur(ask):
    assert (
        min(
            ask(
                "select count(*) filter (where details is null), count(*) filter (where details ="
                " 'null') from customers.payments"
            )
        )
        > 0
    )


def test_messages_are_long_and_full_of_traps(ask):
    assert 4000 < ask("select max(octet_length(body)) from customers.support_messages")[0] <= 8192
    for trap in ("\n", "\r\n", "\t", '"', "'", "\\", "🙂", "\\N", "荷物"):
        assert (
            ask(
                "select count(*) from customers.support_messages where strpos(body,"
                f" $q${trap}$q$) > 0"
            )[0]
            > 0
        ), trap
    assert (
        min(
            ask(
                "select count(*) filter (where subject = ''), count(*) filter (where subject is"
                " null) from customers.support_messages"
            )
        )
        > 0
    )


def test_documents_hold_every_byte_and_reach_40_kilobytes(ask):
    assert ask(
        "select count(distinct get_byte(content, i)) from customers.scanned_documents,"
        " generate_series(0, octet_length(content) - 1) i"
    ) == (256,)
    longest, empty, missing = ask(
        "select max(octet_length(content)), count(*) filter (where content = ''), count(*) filter"
        " (where content is null) from customers.scanned_documents"
    )
    assert 32_768 < longest <= 40_960
    assert empty > 0
    assert missing > 0


def test_one_table_has_no_key_and_rows_that_come_twice(ask):
    without = ask(
        "select array_agg(c.oid::regclass::text) from pg_class c where relkind = 'r' and "
        "relnamespace in ('operations'::regnamespace, 'customers'::regnamespace) and "
        "not exists (select from pg_index where indrelid = c.oid and indisprimary)"
    )
    assert without == (["customers.web_visits"],)
    rows, different = ask("select count(*), count(distinct v::text) from customers.web_visits v")
    assert different < rows


def test_every_table_and_column_is_described(ask):
    assert ask(
        "select array_agg(c.oid::regclass || coalesce('.' || attname, '')) from pg_class c left"
        " join pg_attribute on attrelid = c.oid and attnum > 0 where relkind = 'r' and relnamespace"
        " in ('operations'::regnamespace, 'customers'::regnamespace) and"
        " (coalesce(obj_description(c.oid), '') = '' or coalesce(col_description(c.oid, attnum),"
        " '') = '')"
    ) == (None,)


def test_relations_are_declared(ask):
    assert ask("select count(*) from pg_constraint where contype = 'f'") == (11,)
    assert ask("select enum_range(null::customers.cabin_class)::text") == (
        '{economy,"premium economy",business,first}',
    )


def test_midnight_arrivals_are_24_o_clock(ask):
    assert ask("select count(*) from operations.flights where arrived_at = '24:00'")[0] > 0


def test_the_reader_may_read_and_replicate_and_nothing_else(ask):
    assert ask(
        "select rolreplication, rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname ="
        " current_user"
    ) == (True, False, False, False)
    assert ask("select count(*) from pg_class where relowner = 'dms'::regrole") == (0,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask("delete from customers.refunds")


def test_new_rows_find_their_numbers_and_the_reader_may_read_new_tables(server, source, ask):
    with server.connect(source.database) as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "insert into customers.passengers (last_name, registered_at) values ('New', now())"
        )
        assert connection.execute(
            "select max(passenger_id) from customers.passengers"
        ).fetchone() == (2001,)
    with server.connect(source.database) as connection:
        connection.execute("create table customers.later as select 7 as number")
        assert ask("select number from customers.later") == (7,)
        connection.execute("drop table customers.later")


def test_building_twice_does_nothing(server, source, capsys):
    before = database_number(server)
    assert demo.build(server, SCALE) == source
    assert database_number(server) == before
    assert capsys.readouterr().out == ""


def database_number(server):
    with server.connect() as connection:
        return connection.execute(
            "select oid from pg_database where datname = 'airline'"
        ).fetchone()


def test_a_build_on_another_server_is_the_same_to_the_byte(server, source, other, capsys):
    assert demo.build(other, SCALE).password != source.password
    assert "demo: customers.bookings, 5,000 rows, " in capsys.readouterr().out
    assert checksums(other) == checksums(server)


def test_another_scale_makes_the_database_anew_unless_it_is_being_replicated(other):
    source = demo.build(other, 0.001)
    with psycopg.connect(
        other.url("dms", source.database), autocommit=True, replication="database"
    ) as reading:
        reading.execute("CREATE_REPLICATION_SLOT task LOGICAL test_decoding")
        reading.pgconn.exec_(b"START_REPLICATION SLOT task LOGICAL 0/0")
        with pytest.raises(ServerError, match="stop the task first"):
            demo.build(other, 0.002)
        reading.close()
    wait_until_unused(other)
    assert demo.build(other, 0.002).password == source.password
    with other.connect(source.database) as connection:
        assert connection.execute("select count(*) from customers.bookings").fetchone() == (1000,)


def wait_until_unused(server):
    with server.connect() as connection:
        connection.execute(
            "do $$ begin while (select bool_or(active) from pg_replication_slots) loop perform"
            " pg_sleep(0.05); end loop; end $$"
        )


def test_an_interrupted_build_is_made_again(other):
    with other.connect() as connection:
        connection.execute("create database airline")
    source = demo.build(other, 0.001)
    with other.connect(source.database) as connection:
        assert connection.execute("select count(*) from customers.bookings").fetchone() == (500,)


@pytest.mark.parametrize("scale", [0, -1, 1000, float("nan")])
def test_a_senseless_scale_is_refused(server, scale):
    with pytest.raises(ValueError, match="must lie between"):
        demo.build(server, scale)


def test_awswrangler_connects_with_the_secret(aws, source):
    aws("secretsmanager").create_secret(
        Name="demo-source", SecretString=json.dumps(source.to_secret())
    )
    with wr.postgresql.connect(secret_id="demo-source") as connection:
        frame = wr.postgresql.read_sql_query(
            "select count(*) as bookings from customers.bookings", connection
        )
    assert frame.bookings[0] == 5000
