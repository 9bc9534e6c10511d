"""The command line, as a person meets it."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from evergreen.cli import main
from evergreen.cli.demo import _write
from evergreen.cli.main import application, of_one_command
from evergreen.stack.config.home import PROJECT

EVERGREEN = str(Path(sys.executable).parent / "evergreen")


@pytest.fixture
def environment(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("EVERGREEN_")}
    return {**kept, "EVERGREEN_HOME": str(tmp_path / "var"), "COLUMNS": "200"}


@pytest.fixture
def installed(environment):
    """The command as it is installed, in a process of its own, which costs a second each time."""

    def installed(*arguments):
        return subprocess.run([EVERGREEN, *arguments], env=environment, capture_output=True, text=True, check=False)

    return installed


@pytest.fixture
def evergreen(environment, monkeypatch, capsys):
    """The same in this process."""

    def evergreen(*arguments, **variables):
        for name in os.environ.keys() - environment.keys():
            monkeypatch.delenv(name)
        for name, value in (environment | variables).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", [EVERGREEN, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, said.out, said.err)

    return evergreen


def test_help_says_what_there_is(evergreen):
    done = evergreen("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("up", "down", "status", "doctor", "mail", "airflow"))


def test_a_stack_that_never_ran(evergreen, tmp_path):
    status = evergreen("status", "--json")
    assert status.returncode == 1
    assert json.loads(status.stdout)["phase"] == "stopped"
    assert "Start it: `evergreen up`." in evergreen("status").stdout
    down = evergreen("down", "--json")
    assert (down.returncode, json.loads(down.stdout)["stopped"]) == (0, False)
    assert not (tmp_path / "var").exists()


def test_wrong_usage_is_2_and_failure_is_1_with_the_fix(installed):
    assert installed("up", "--no-such-option").returncode == 2
    failed = installed("airflow", "dags", "list")
    assert failed.returncode == 1
    assert "run `evergreen up`" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_port_that_is_none_is_said_before_anything_starts(evergreen):
    done = evergreen("up", "--json", EVERGREEN_PORT_SMTP="mail")
    assert done.returncode == 1
    assert "EVERGREEN_PORT_SMTP='mail' is not a port" in done.stderr


def test_a_mail_that_is_not_there(evergreen):
    assert json.loads(evergreen("mail", "list", "--json").stdout) == []
    missing = evergreen("mail", "show", "3")
    assert missing.returncode == 1
    assert "there is no mail 3" in missing.stderr


def test_doctor_names_the_fix_where_nothing_runs(evergreen):
    done = evergreen("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["python"]["ok"]
    assert not findings["environment"]["ok"]
    assert "evergreen up" in findings["environment"]["fix"]


def test_a_full_disk_is_said_without_a_stack_trace(environment):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([EVERGREEN, "status"], env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "no space is left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "history nyc_flights"])
def test_a_home_that_is_a_file_is_said_without_a_stack_trace(evergreen, tmp_path, command):
    (tmp_path / "file").touch()
    done = evergreen(*command.split(), "--home", str(tmp_path / "file"))
    assert done.returncode == 1
    assert f"cannot use {tmp_path / 'file'}/stack.json: Not a directory" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "names"),
    [
        ("feed land nyc_flights --from 2013-01-07 --through 2013-01-07 --to foo://bar", 2, "--to"),
        ("expectations propose nyc_flights --landing foo://bar", 2, "--landing"),
        ("restore foo://bar --check", 1, "foo://bar is no address of a folder"),
    ],
)
def test_an_address_of_no_known_kind_names_where_it_was_given(evergreen, command, code, names):
    done = evergreen(*command.split())
    assert (done.returncode, names in done.stderr) == (code, True)
    assert "Protocol not known: foo" in done.stderr


@pytest.mark.parametrize(
    "url", ["nonsense-secret", "foo://me:secret@host/x", "postgresql://me:secret@host:port/x", "sqlite://"]
)
def test_a_ledger_address_that_is_none_names_the_variable_and_keeps_the_password(evergreen, url):
    parts = ("STORE_URL", "LANDING_URL", "FEATURES_GIT_URL", "FEATURES_DVC_URL", "AIRFLOW_URL")
    variables = {f"EVERGREEN_{part}": "file:///x" for part in parts} | {"MLFLOW_TRACKING_URI": "http://x"}
    models = str(PROJECT / "include" / "models")
    done = evergreen("history", "nyc_flights", **variables, EVERGREEN_MODELS_DIR=models, EVERGREEN_LEDGER_URL=url)
    assert done.returncode == 1
    assert "EVERGREEN_LEDGER_URL is no address of a PostgreSQL database" in done.stderr
    assert "secret" not in done.stderr


def test_a_path_with_brackets_is_printed_as_it_is(evergreen, tmp_path):
    where = f"{tmp_path}/l[/a]"
    done = evergreen("feed", "land", "nyc_flights", "--from", "2013-01-07", "--through", "2013-01-07", "--to", where)
    assert (done.returncode, where in done.stdout) == (0, True)


@pytest.mark.parametrize(
    "command", ["expectations propose nyc_flights --out", "replay nyc_flights --plot", "demo --json"]
)
def test_an_output_file_that_cannot_be_written_is_said_before_the_work(evergreen, tmp_path, command):
    (tmp_path / "file").touch()
    done = evergreen(*command.split(), str(tmp_path / "file" / "made.png"))
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_a_picture_of_no_known_kind_is_said_before_the_work(evergreen, tmp_path):
    done = evergreen("replay", "nyc_flights", "--plot", str(tmp_path / "x.doc"))
    assert (done.returncode, ".svg" in done.stderr) == (2, True)


def test_a_demo_whose_summary_cannot_be_written_leaves_the_stack_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("evergreen.tools.demo.plot.plot_losses", lambda *_: None)
    (tmp_path / "file").touch()
    summary = SimpleNamespace(model="nyc_flights", to_json=dict)
    _write(SimpleNamespace(home=SimpleNamespace(root=tmp_path)), summary, tmp_path / "file" / "x.json")
    assert "cannot write" in capsys.readouterr().err


def test_a_key_for_a_folder_of_partitions_is_wrong_usage(evergreen, tmp_path):
    (tmp_path / "2013-01-07").mkdir()
    (tmp_path / "2013-01-07" / "inputs.csv").write_text("a\n1\n")
    done = evergreen("check", "nyc_flights", str(tmp_path), "--key", "2013-01-14")
    assert (done.returncode, "--key" in done.stderr) == (2, True)


def test_promoting_a_model_of_no_such_name_names_those_there_are(evergreen):
    done = evergreen("promote", "flights", "3", "--why", "a test")
    assert done.returncode == 1
    assert "no model 'flights'" in done.stderr
    assert "nyc_flights" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--set", "training.window"), 2, "'training.window' is not FIELD=VALUE, such as training.window=24"),
        (("--set", "training.window=[1"), 2, "'[1' is no YAML value"),
        (("--plot", "x.txt"), 2, "x.txt is none of .png, .svg, .pdf"),
        ((), 1, "the variant is nyc_flights as it is: give --with a file that differs"),
        (("--set", "training.windw=3"), 1, "training.windw: unknown field"),
        (("--candidates", "linear", "--landing", "nowhere"), 1, "nothing has landed for nyc_flights below"),
    ],
)
def test_an_experiment_that_cannot_be_made_says_why(evergreen, options, code, said):
    done = evergreen("experiment", "nyc_flights", *options)
    assert done.returncode == code
    assert said in done.stderr.replace("\n", " ")


def test_a_misspelt_policy_is_wrong_usage_and_names_those_there_are(evergreen):
    done = evergreen("replay", "nyc_flights", "--policy", "never,monthly")
    assert done.returncode == 2
    assert "monthly" in done.stderr
    assert "weekly" in done.stderr


def test_the_version(installed):
    shown = installed("--version")
    assert (shown.returncode, shown.stdout) == (0, f"evergreen {metadata.version('evergreen')}\n")


def test_a_command_alone_is_the_command_among_all():
    """`evergreen check` imports its own module only, if that has its name; no command is lost so."""
    whole = application()
    names = [c.name for c in whole.registered_commands] + [g.name for g in whole.registered_groups]
    assert len(names) == len(set(names)) == 29
    for name in names:
        found = of_one_command(name)
        assert name in [c.name for c in found.registered_commands] + [g.name for g in found.registered_groups]
    assert len(of_one_command("check").registered_commands) == 1
    assert of_one_command("nosuch") is of_one_command("--help") is whole
