"""The command line, as a person meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evergreen.cli import main

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


def test_a_misspelt_policy_is_wrong_usage_and_names_those_there_are(evergreen):
    done = evergreen("replay", "nyc_flights", "--policy", "never,monthly")
    assert done.returncode == 2
    assert "monthly" in done.stderr
    assert "weekly" in done.stderr
