"""`evergreen silence` asks for a reason, a length that can be read, and a kind that exists."""

import pytest
from typer.testing import CliRunner

from evergreen.cli import app


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([], "one of --for"), (["--list", "--for", "3d"], "one of --for"),
        (["--for", "3 days", "--why", "x"], "30m, 12h"),
        (["--for", "3d"], "say why"), (["--for", "3d", "--why", " "], "say why"),
        (["--for", "3d", "--why", "x", "--kind", "quarentine"], "no such kind"),
    ],
)  # fmt: skip
def test_wrong_usage_is_said_before_anything_is_asked(asked, says, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["silence", "nyc_flights", *asked])
    assert result.exit_code == 2
    assert says in result.output
