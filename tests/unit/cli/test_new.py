"""`evergreen new`: what it asks in a terminal, what it replaces, and that it asks nothing without one."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.cli.new_dialogue import converse
from evergreen.errors import RefusedError
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.plan import Asked

run = CliRunner().invoke


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path / "models"))
    count, path = range(420), tmp_path / "rows.csv"
    times = pd.date_range("2024-01-01", periods=420, freq="4h")
    level = [n * 37 % 101 / 7 for n in count]
    frame = pd.DataFrame(
        {"id": [f"r{n}" for n in count], "at": times, "level": level, "x": [n * 53 % 89 / 3 for n in count]}
    )
    frame.assign(cents=[100 * v for v in level], y=level).to_csv(path, index=False)
    return path


class Answers:
    """Somebody who gives these answers in turn, then Enter."""

    def __init__(self, *answers):
        self.answers, self.asked, self.told = list(answers), [], []

    def ask(self, question, default, choices=()):
        self.asked.append((question, default))
        answer = self.answers.pop(0) if self.answers else ""
        return answer or default

    def tell(self, text, style=""):
        self.told.append(text)


def test_enter_takes_what_is_proposed_with_its_reason(file):
    person = Answers()
    asked, plan = converse(Asked("m", "", ""), DataFile(file), person)
    assert (asked.target, asked.time, asked.end, asked.period) == ("y", "at", None, None)
    questions = [question for question, _ in person.asked]
    assert "the only timestamps" in questions[0]
    assert any("What names a row (unique in every row, and named like an id)" in q for q in questions)
    assert any("cents alone gives y" in text for text in person.told)
    assert plan.entity == "id"


def test_answers_change_the_plan_and_one_that_makes_none_is_said(file):
    person = Answers("cents,level", "level", "day", "last")
    asked, plan = converse(Asked("m", "y", "at"), DataFile(file), person)
    assert asked.later == ("cents", "level")
    assert not {"cents", "level"} & {*plan.inputs}
    assert any("--entity 'level'" in text and "What was proposed is taken" in text for text in person.told)
    assert (plan.entity, plan.period, str(plan.end)) == ("id", "day", "2024-03-10")


def test_without_a_terminal_nothing_is_asked(file):
    refused = run(app, ["new", "m", "--data", str(file), "--target", "y"])
    assert refused.exit_code == 2
    assert "--time" in refused.output
    done = run(app, ["new", "m", "--data", str(file), "--target", "y", "--time", "at", "--yes"])
    assert done.exit_code == 0, done.output
    for words in ("and goes on", "cents alone gives y", "evergreen feed land m", "expectations propose m", "check m"):
        assert words in done.output


def test_force_replaces_what_new_wrote_and_keeps_what_was_edited(file, tmp_path):
    command = ["new", "m", "--data", str(file), "--target", "y", "--time", "at", "--json"]
    first = json.loads(run(app, command).output)
    assert first["replaced"] is None
    assert isinstance(run(app, command).exception, RefusedError)
    again = json.loads(run(app, [*command, "--force"]).output)["replaced"]
    assert again["files"] == ["README.md", "expectations.py", "features.py", "model.yaml"]
    assert (again["edited"], again["kept"]) == ([], None)
    (tmp_path / "models" / "m" / "features.py").write_text("# mine\n")
    kept = json.loads(run(app, [*command, "--force"]).output)["replaced"]
    assert kept["edited"] == ["features.py"]
    assert (tmp_path / "models" / ".replaced" / "m-1" / "features.py").read_text() == "# mine\n"


def test_force_leaves_alone_what_it_did_not_write(file, tmp_path):
    own = tmp_path / "models" / "m"
    own.mkdir(parents=True)
    (own / "model.yaml").write_text("name: m\n")
    refused = run(app, ["new", "m", "--data", str(file), "--target", "y", "--time", "at", "--force"])
    assert isinstance(refused.exception, RefusedError)
    assert "was not written by `evergreen new`" in str(refused.exception)
    assert (own / "model.yaml").read_text() == "name: m\n"
