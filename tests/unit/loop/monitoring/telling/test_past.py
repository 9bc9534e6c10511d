"""What is read of the partitions before."""

import io

import numpy as np
import pytest

from evergreen.core.store import Store, layout
from evergreen.errors import UnavailableError
from evergreen.loop.monitoring.telling import past
from evergreen.settings import Settings
from helpers.drift_frames import SMALL, batch


@pytest.fixture
def settings(tmp_path):
    return Settings.model_construct(store_url=tmp_path.as_uri())


def keep_reference(settings, version):
    rows = batch(np.random.default_rng(0), 100)
    about = {"part": "holdout", "prediction": 0.5, "target": 1.0, "cluster": np.arange(100) % 4}
    sink = io.BytesIO()
    rows.assign(**about).to_parquet(sink, index=False)
    Store.from_settings(settings).write(layout.reference(SMALL.name, version), sink.getvalue())


def test_the_holdout_of_another_version_is_read_and_one_that_is_gone_is_said(settings, caplog):
    keep_reference(settings, 2)
    assert len(past._holdout(SMALL, 2, settings)) == 4
    assert past._holdout(SMALL, 3, settings) == ()
    assert "what was to be expected of version 3 is not known: the store has no reference/" in caplog.text


def test_a_store_that_does_not_answer_is_no_store_without_the_reference(settings, monkeypatch):
    keep_reference(settings, 2)

    def away(store, name):
        raise UnavailableError("the store is away")

    monkeypatch.setattr(Store, "read", away)
    with pytest.raises(UnavailableError, match="the store is away"):
        past._holdout(SMALL, 2, settings)


def test_of_a_version_of_another_task_nothing_is_to_be_expected(settings, caplog):
    keep_reference(settings, 2)
    several = SMALL.model_copy(update={"task": "multiclass"})
    assert past._holdout(several, 2, settings) == ()
    assert "what was to be expected of version 2 is not known" in caplog.text
