"""What a check weighs beside what it must find."""

from types import SimpleNamespace

import numpy as np

from evergreen.errors import UnavailableError
from evergreen.loop.monitoring.load_rows import Frames
from evergreen.loop.monitoring.telling.weigh import _impacts
from helpers.drift_frames import SMALL, batch


def test_a_check_does_not_fail_because_the_champion_cannot_be_loaded(caplog):
    def gone(rows):
        raise UnavailableError("MLflow does not answer")

    rows = batch(np.random.default_rng(0), 300)
    reference = rows.assign(part="holdout", prediction=0.5, target=1.0, cluster="a")
    frames = Frames(reference, reference, rows, len(rows), None, gone)
    drift = SimpleNamespace(drifted=True, drifted_columns=("temperature",))
    assert _impacts(SMALL, frames, drift) == ()
    assert "MLflow does not answer" in caplog.text
