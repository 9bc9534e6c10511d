"""The life of a stack, on its quick services: started, killed in every way, recovered, ended without a trace."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.errors import SettingsError, UnavailableError
from evergreen.stack.config import credentials
from evergreen.stack.config.home import Home
from evergreen.stack.config.ports import HOST
from evergreen.stack.control import Stack
from evergreen.stack.embedded import postgres
from evergreen.stack.process import processes
from evergreen.stack.process import state as states

pytestmark = pytest.mark.integration
QUICK = ("postgres", "databases", "mail")
QUICK_OF_CLUSTER = ("postgres", "databases", "redis", "s3", "features-git", "mailpit")
NEEDS_REDIS = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server: apt-get install it")
EACH_SHAPE = pytest.mark.parametrize("shape", ["embedded", pytest.param("cluster", marks=NEEDS_REDIS)])


@pytest.fixture
def make_stack(tmp_path):
    made = []

    def make_stack(name="var", shape="embedded"):
        only = QUICK if shape == "embedded" else QUICK_OF_CLUSTER
        made.append(Stack(Home(tmp_path / name), only=only, shape=shape))
        return made[-1]

    yield make_stack
    for stack in made:
        stack.stop()


def living(stack):
    """Every process of a stack: those its state names, those that carry its marker, PostgreSQL's own."""
    state = states.read(stack.home.state)
    refs = [s.process for s in state.services.values()] + [state.supervisor, state.watchdog]
    found = {p.pid for p in processes.marked(state.stack_id)} | {r.pid for r in refs if r and r.alive()}
    folder = str(stack.home.root)
    for process in psutil.process_iter(["cmdline", "status"]):
        if folder in " ".join(process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.add(process.pid)
    return found


def gone(stack, seconds=25.0):
    deadline = time.monotonic() + seconds
    while living(stack) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not living(stack)


def serves(stack):
    password = credentials.load(stack.home.secrets)["POSTGRES_PASSWORD"]
    return postgres.answers(states.read(stack.home.state).ports["postgres"], password)


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def kill_both(stack):
    """Kill supervisor and watchdog: nobody is left who could end the services."""
    state = stack.status()
    for ref in (state.watchdog, state.supervisor):
        os.kill(ref.pid, signal.SIGKILL)
    wait_for(lambda: not state.supervisor.alive())
    return state


def test_up_twice_and_down_twice(make_stack):
    stack = make_stack()
    assert stack.start() is True
    ports = stack.status().ports
    assert stack.start() is False
    assert serves(stack)
    assert stack.stop() is True
    assert gone(stack)
    assert stack.stop() is False
    assert stack.status().phase == "stopped"
    assert stack.start() is True
    assert stack.status().ports == ports


@EACH_SHAPE
def test_a_killed_supervisor_leaves_no_process_and_up_recovers(make_stack, shape):
    stack = make_stack(shape=shape)
    stack.start()
    os.kill(stack.status().supervisor.pid, signal.SIGKILL)
    assert gone(stack)
    assert stack.status().phase == "failed"
    assert stack.start() is True
    assert serves(stack)


def test_supervisor_and_watchdog_killed_together_are_recovered_by_up(make_stack):
    stack = make_stack()
    stack.start()
    state = kill_both(stack)
    database = state.services["postgres"].process
    assert database.alive()
    assert stack.start() is True
    assert not database.alive()
    assert serves(stack)


def test_supervisor_and_watchdog_killed_together_are_cleared_by_down(make_stack):
    stack = make_stack()
    stack.start()
    kill_both(stack)
    assert stack.stop() is True
    assert gone(stack)


@pytest.mark.parametrize("service", QUICK[::2])
def test_a_killed_service_comes_back_on_its_port(make_stack, service):
    stack = make_stack()
    stack.start()
    before = stack.status()
    os.kill(before.services[service].process.pid, signal.SIGKILL)
    wait_for(lambda: stack.status().services[service].condition != "healthy")
    told = CliRunner().invoke(app, ["status", "--home", str(stack.home.root)])
    assert (told.exit_code, f"Not up: {service}." in told.output) == (1, True)

    def back():
        now = stack.status().services[service]
        return now.restarts == 1 and now.condition == "healthy"

    wait_for(back)
    assert stack.status().ports == before.ports
    assert stack.status().phase == "ready"
    assert f"{service} ended by itself (exit code -9)" in stack.home.log_of("supervisor").read_text()


def test_a_killed_watchdog_is_replaced(make_stack):
    stack = make_stack()
    stack.start()
    first = stack.status().watchdog
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: stack.status().watchdog not in (None, first))
    os.kill(stack.status().supervisor.pid, signal.SIGKILL)
    assert gone(stack)


def test_a_tied_stack_ends_with_its_owner_however_that_ends(make_stack, tmp_path):
    stack = make_stack()
    script = (
        "import sys, time; from pathlib import Path; from evergreen.stack.control import Stack; "
        "from evergreen.stack.config.home import Home; "
        f"Stack(Home(Path(sys.argv[1])), only={QUICK!r}).start(tied=True); print('up', flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(stack.home.root)], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"up\n"
    assert serves(stack)
    owner.kill()
    owner.wait()
    assert gone(stack)


def test_a_released_stack_outlives_its_owner(make_stack):
    stack = make_stack()
    script = (
        "import sys; from pathlib import Path; from evergreen.stack.control import Stack; "
        "from evergreen.stack.config.home import Home; "
        f"stack = Stack(Home(Path(sys.argv[1])), only={QUICK!r}); stack.start(tied=True); stack.release()"
    )
    subprocess.run([sys.executable, "-c", script, str(stack.home.root)], check=True)
    time.sleep(2)  # an owner's end is seen within milliseconds
    assert stack.status().phase == "ready"
    assert serves(stack)


def test_a_pid_file_that_a_crash_left_does_not_stop_postgres(make_stack):
    stack = make_stack()
    stack.start()
    stack.stop()
    # The pid now belongs to someone else: to us.
    (stack.home.postgres / "postmaster.pid").write_text(f"{os.getpid()}\n{stack.home.postgres}\n1\n5432\n\n{HOST}\n")
    stack.start()
    assert serves(stack)


def test_up_during_down_waits_and_starts(make_stack):
    stack = make_stack()
    stack.start()
    os.kill(stack.status().supervisor.pid, signal.SIGTERM)
    wait_for(lambda: stack.status().phase != "ready")
    assert stack.start() is True
    assert serves(stack)


@EACH_SHAPE
def test_two_stacks_do_not_disturb_each_other(make_stack, shape):
    first, second = make_stack("first", shape), make_stack("second", shape)
    first.start()
    second.start()
    assert not set(first.status().ports.values()) & set(second.status().ports.values())
    os.kill(first.status().supervisor.pid, signal.SIGKILL)
    assert gone(first)
    assert second.status().phase == "ready"
    assert serves(second)
    second.stop()
    assert gone(second)


def test_a_demanded_port_that_is_taken_starts_nothing(make_stack, monkeypatch):
    stack = make_stack()
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        monkeypatch.setenv("EVERGREEN_PORT_POSTGRES", str(other.getsockname()[1]))
        with pytest.raises(UnavailableError, match=f"process {os.getpid()}"):
            stack.start()
    assert gone(stack)


def test_a_stack_that_is_stopped_while_a_service_keeps_failing_leaves_nothing(make_stack):
    stack = make_stack()
    stack.start()
    stack.stop()
    (stack.home.postgres / "postgresql.conf").write_text("no_such_setting = 1\n")
    # PostgreSQL is tried again and again until its time is over; a test does not wait for that.
    process = subprocess.Popen(
        [sys.executable, "-m", "evergreen.stack.supervisor", str(stack.home.root), "--only", "postgres"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: "no_such_setting" in stack.home.log_of("postgres").read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert gone(stack)


def test_lost_secrets_are_said(make_stack):
    stack = make_stack()
    stack.start()
    stack.stop()
    stack.home.secrets.unlink()
    with pytest.raises((UnavailableError, SettingsError), match="know its passwords"):
        stack.start()


@EACH_SHAPE
def test_secrets_are_for_the_owner_only_and_on_no_command_line(make_stack, shape):
    stack = make_stack(shape=shape)
    stack.start()
    secrets = credentials.load(stack.home.secrets)
    assert oct(stack.home.secrets.stat().st_mode)[-3:] == "600"
    folders = [p for p in stack.home.root.iterdir() if p.is_dir() and p.name != "features.git"]
    assert {oct(p.stat().st_mode)[-3:] for p in folders} == {"700"}
    lines = "\n".join(" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
    logged = "\n".join(p.read_text() for p in stack.home.logs.iterdir())
    state = stack.home.state.read_text()
    for name, secret in secrets.items():
        if name.startswith(("EVERGREEN_", "S3_ACCESS_KEY")):  # addresses, and the name that a key has: no secrets
            continue
        assert secret not in lines, name
        assert secret not in logged, name
        assert secret not in state, name


@NEEDS_REDIS
def test_the_clusters_servers_keep_what_they_were_given(make_stack):
    """Redis and S3 under their keys, over a stop that does not wait for them."""
    import redis
    import s3fs

    stack = make_stack(shape="cluster")
    stack.start()
    env = stack.environment()
    login = {"key": env["AWS_ACCESS_KEY_ID"], "secret": env["AWS_SECRET_ACCESS_KEY"]}
    at = {"endpoint_url": env["AWS_ENDPOINT_URL"], "use_listings_cache": False, "skip_instance_cache": True}
    s3fs.S3FileSystem(**login, **at).pipe_file("kept/one", b"1")
    redis.Redis.from_url(env["AIRFLOW__CELERY__BROKER_URL"]).set("kept", "1")
    with pytest.raises(PermissionError):
        s3fs.S3FileSystem(anon=True, **at).cat_file("kept/one")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host=HOST, port=stack.status().ports["redis"]).get("kept")
    stack.stop()
    stack.start()
    assert s3fs.S3FileSystem(**login, **at).cat_file("kept/one") == b"1"
    assert redis.Redis.from_url(env["AIRFLOW__CELERY__BROKER_URL"]).get("kept") == b"1"


def test_a_service_that_never_comes_up_ends_the_start(make_stack):
    """It is started again and again, but its time does not begin again."""
    from evergreen.stack.process.service import Service, Unit

    stack = make_stack()
    stack.home.create(())
    unit = Unit(Service("short", ("false",), {}, healthy=lambda _: False, timeout=1.5), "id", stack.home, lambda: None)
    deadline = time.monotonic() + 20
    while not unit.overdue():
        assert time.monotonic() < deadline
        unit.step(lambda name: True)
        time.sleep(0.05)
    assert unit.state.restarts >= 2


def test_what_the_ledger_has_committed_outlives_a_killed_database(make_stack):
    """A mail is sent once its row is committed: a database that forgot the row would owe it a second time."""
    import psycopg2

    stack = make_stack()
    stack.start()
    url = stack.environment()["EVERGREEN_LEDGER_URL"].replace("+psycopg2", "")
    ledger = psycopg2.connect(url)
    ledger.autocommit = True
    with ledger.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (n integer)")
        for number in range(300):
            cursor.execute("INSERT INTO kept VALUES (%s)", (number,))
    server = stack.status().services["postgres"].process.process()
    for process in processes.tree(server):
        process.kill()
    wait_for(lambda: serves(stack) and stack.status().services["postgres"].condition == "healthy")
    with psycopg2.connect(url) as again, again.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchone()[0] == 300


def test_a_service_that_hangs_is_ended_and_started_again(make_stack, monkeypatch, caplog):
    """Its process lives, so that nobody but its own health says that it does nothing."""
    from evergreen.stack.process import service as services
    from evergreen.stack.process.service import Service, Unit

    monkeypatch.setattr(services, "HUNG_AFTER", 1.0)
    monkeypatch.setattr(services, "_WATCH_PAUSE", 0.1)
    stack = make_stack()
    stack.home.create(())
    works = True
    service = Service("stuck", ("sleep", "600"), {}, healthy=lambda _: True, hung=lambda: not works)
    unit = Unit(service, states.new_id(), stack.home, lambda: None)

    def step_until(condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            unit.step(lambda name: True)
            time.sleep(0.02)

    step_until(lambda: unit.up)
    first = unit.state.process
    until = time.monotonic() + 1.5
    step_until(lambda: time.monotonic() > until)
    assert unit.state.process == first, "what works is left alone"
    works = False
    step_until(lambda: unit.state.restarts == 1)
    works = True
    step_until(lambda: unit.up)
    second = unit.state.process
    assert not first.alive()
    assert "stuck has done nothing for 1 s, though its process runs" in caplog.text
    second.process().kill()
