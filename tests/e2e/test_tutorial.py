"""The tutorial's commands, as they stand there, on a live stack: from a file to monitored weeks and a mail."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import DriftCheck, Performance, TrainingRun
from evergreen.stack.config.home import PROJECT
from evergreen.stack.embedded import caught_mails
from helpers.live_stack import rows

# The cluster's image has models of its own.
pytestmark = [pytest.mark.e2e, pytest.mark.shape("embedded"), pytest.mark.timeout(1800)]
MODEL = "weather"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DONE_BY_FIXTURES = ("make setup", "evergreen up", "evergreen down", "export PATH")
MOST_COMMANDS = 12


def commands():
    """The commands of the part that is run, block by block."""
    text = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8").partition("## Your own file")[0]
    return [[line[2:] for line in block.splitlines() if line.startswith("$ ")] for block in BLOCK.findall(text)]


@pytest.fixture(scope="module")
def shell(stack, models_dir, tmp_path_factory):
    """Runs a command of the document where the document says: at the root of a clone."""
    clone = tmp_path_factory.mktemp("clone")
    (clone / "include").mkdir()
    (clone / "include" / "models").symlink_to(models_dir)
    (clone / ".venv" / "lib").mkdir(parents=True)
    (clone / ".venv" / "lib" / "python3").symlink_to(Path(sys.prefix) / "lib" / f"python3.{sys.version_info[1]}")
    env = {**os.environ, "EVERGREEN_HOME": str(stack.home.root), "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

    def run(command):
        done = subprocess.run(["/bin/bash", "-c", command], cwd=clone, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def test_a_stranger_gets_there_with_few_commands():
    first, later = commands()
    assert len(first) + len(later) <= MOST_COMMANDS


def test_the_commands_lead_to_monitored_weeks_a_retrain_and_a_mail(shell, stack, settings):
    first, later = commands()
    said = {}
    for command in first:
        if not command.startswith(DONE_BY_FIXTURES):
            said[command] = shell(command)
    (started,) = [done for command, done in said.items() if command.startswith("evergreen start")]
    assert "First champion version 1" in started.stdout
    assert re.search(r"week \d+/\d+", started.stderr), "progress without a terminal"
    ledger = Ledger.from_settings(settings)
    checks = rows(ledger, DriftCheck, DriftCheck.model == MODEL)
    losses = rows(ledger, Performance, Performance.model == MODEL)
    assert len(checks) >= 6
    assert len({loss.key for loss in losses}) >= 5
    retrained = [run for run in rows(ledger, TrainingRun, TrainingRun.model == MODEL) if run.cause != "first"]
    assert retrained, "a first retrain"
    mails = [mail.subject for mail in caught_mails.read_all(stack.home.mail) if MODEL in mail.subject]
    assert mails
    assert not [run for run in stack.airflow.dag_runs(state="failed") if run["dag_id"].startswith(f"{MODEL}.")]

    for command in later:  # the next week, and again
        if not command.startswith(DONE_BY_FIXTURES):
            shell(command)
    assert {check.key for check in rows(ledger, DriftCheck, DriftCheck.model == MODEL)} == {
        *(check.key for check in checks),
        "2013-05-13",
    }


def test_run_again_it_finds_all_done(shell, stack, settings):
    ledger = Ledger.from_settings(settings)
    before = len(stack.airflow.dag_runs(f"{MODEL}.monitor"))
    answer = json.loads(shell(f"evergreen start {MODEL} --history --json").stdout)
    assert answer["outcome"] == "done"
    assert answer["first"]["loss"] < answer["first"]["base_rate_loss"]
    assert len(answer["monitored"]) == len({c.key for c in rows(ledger, DriftCheck, DriftCheck.model == MODEL)})
    assert len(stack.airflow.dag_runs(f"{MODEL}.monitor")) == before
