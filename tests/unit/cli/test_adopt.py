"""`evergreen adopt`: one source, and a reason."""

import pytest
from typer.testing import CliRunner

from evergreen.cli import app


@pytest.mark.parametrize(
    "options",
    [
        ["--why", "it serves"],
        ["--why", "it serves", "--predictions", "old", "--version", "models:/a/1"],
        ["--why", " ", "--predictions", "old"],
        ["--predictions", "old"],
    ],
)
def test_wrong_usage(options):
    assert CliRunner().invoke(app, ["adopt", "nyc_flights", *options]).exit_code == 2
