"""A version is made again from its ledger record alone, in a process that knows nothing of the first."""

import json
import os
import subprocess
import sys

import pytest

from evergreen.core.ledger.tables import TrainingRun
from evergreen.errors import BadInputError
from evergreen.loop.training.model_files import load
from evergreen.operations.reproduce import reproduce

pytestmark = pytest.mark.integration


def elsewhere(shop, *arguments):
    """`evergreen reproduce` in a fresh process; its exit code and its answer."""
    folder = str(shop.definition.folder.parent)
    done = subprocess.run(
        [sys.executable, "-c", "from evergreen.cli import main; main()", "reproduce", "orders", *arguments, "--json"],
        env={**os.environ, "EVERGREEN_MODELS_DIR": folder, "PYTHONHASHSEED": "7"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_a_champion_is_made_again_bit_for_bit_in_a_fresh_process(shop):
    for tuned in ([], ["--tune"]):
        code, answer = elsewhere(shop, "1", *tuned)
        assert (code, answer["reproduced"]) == (0, True), answer
        assert {check["name"]: check["same"] for check in answer["checks"]} == dict.fromkeys(
            ("code version", "code", "libraries", "machine", "dataset", "feature files", "hyperparameters",
             "registered file", "model", "predictions"),
            True,
        )  # fmt: skip
        assert (answer["rows"], answer["holdout_rows"]) == (2800, 1400)
        assert len(load(shop.definition, 1, settings=shop.settings).predict(shop.week(9)[0])) == 700

    # Rules for a linear model changed since: the recorded settings still give it, though the code is another.
    training = shop.definition.training.model_copy(update={"trials": 3, "seed": 1})
    changed = shop.definition.model_copy(update={"training": training})
    found = reproduce(changed, 1, settings=shop.settings)
    assert found.reproduced
    assert found.reason.endswith("though code differs")

    # Another setting was recorded than the model was made with.
    with shop.ledger.transaction() as session:
        run = session.get_one(TrainingRun, 1)
        run.params = {name: value * 2 for name, value in run.params.items()}
    code, answer = elsewhere(shop, "1")
    assert (code, answer["reproduced"]) == (3, False)
    assert answer["reason"].startswith("not reproduced: the model differs; data, code, libraries and machine are as")

    assert elsewhere(shop, "99")[0] == 1
    with pytest.raises(BadInputError, match="no training run of orders has made version 99"):
        reproduce(shop.definition, 99, settings=shop.settings)
