"""Three classes from a file of their past to a replay: what `new`, `feed land`, `test` and `replay` do."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from evergreen.core.definition import load_definition
from evergreen.tools.backtest.challengers import fit, fit_all
from evergreen.tools.backtest.landed_data import read_history
from evergreen.tools.backtest.policies import make
from evergreen.tools.backtest.simulate import simulate
from evergreen.tools.data_file import DataFile
from evergreen.tools.model_test.run import run
from evergreen.tools.scaffold.new import new
from evergreen.tools.scaffold.plan import Asked
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.past_rows import PastRows

pytestmark = pytest.mark.xdist_group("evidently")
CULTIVARS = np.array(["barolo", "grignolino", "barbera"])


def wines(weeks=11, rows=210):
    """The 178 wines that scikit-learn ships (Forina, UCI), measured again with noise at some time of these weeks."""
    frame, rng = load_wine(as_frame=True).frame, np.random.default_rng(3)
    chosen = rng.integers(0, len(frame), weeks * rows)
    measured = frame.iloc[chosen].reset_index(drop=True)
    kept = measured[["alcohol", "malic_acid", "hue", "proline"]]
    noisy = kept + rng.normal(size=kept.shape) * kept.std().to_numpy() * 0.9
    minutes = np.sort(rng.integers(0, weeks * 7 * 24 * 60, len(measured)))
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes, unit="min")
    about = {"sample_id": [f"s{n}" for n in range(len(measured))], "taken_at": stamps.strftime("%Y-%m-%d %H:%M:%S")}
    return pd.DataFrame(about).join(noisy).assign(cultivar=CULTIVARS[measured["target"]])


@pytest.fixture(scope="module")
def landed(tmp_path_factory):
    """Definition and landing zone of a model that `new` has made of the wines."""
    folder = tmp_path_factory.mktemp("wines")
    wines().to_csv(folder / "wine.csv", index=False)
    decided, made = new(Asked("wine", "cultivar", "taken_at"), folder / "wine.csv", folder=folder / "models")
    assert decided.task == "multiclass"
    text = (made / "model.yaml").read_text()
    settings = "training: {window: 4, validation: 1, min_rows: 400, candidates: [linear], trials: 1}\n"
    (made / "model.yaml").write_text(text + settings)
    definition = load_definition("wine", folder / "models")
    past = PastRows(definition, DataFile(folder / "wine.csv", definition.feed.csv))
    keys = definition.partitions.keys(str(definition.calendar.start), past.last_tick())
    url = f"file://{folder / 'landing'}"
    land(definition, keys, landing_url=url, rows=past.partition)
    return definition, url


def test_a_file_of_three_texts_passes_the_tests_of_a_model(landed):
    outcomes = list(run(*landed, last=4))
    assert {o.name: o.said for o in outcomes if o.state != "passed" and "quick enough" not in o.name} == {}
    assert any("superior" in o.said for o in outcomes), "better than the shares of the classes"


def test_it_is_replayed_and_kept_fits_are_those_that_were_made(landed, tmp_path):
    history = read_history(*landed)
    fits = fit_all(history, jobs=1, cache=tmp_path)
    as_of = next(iter(fits.by_as_of))
    again = fit(history, as_of, cache=tmp_path)
    assert again.classes == ("barbera", "barolo", "grignolino")
    for key, predicted in fits.by_as_of[as_of].predictions.items():
        np.testing.assert_array_equal(again.predictions[key], predicted)
        assert predicted.shape == (len(history[key].features), 3)
    walked = simulate(fits, make("evergreen"))
    assert all(np.isfinite(step.loss) for step in walked.steps)
    assert all(step.loss < 0.66 for step in walked.steps), "less than the shares of the classes lose"
    weekly = simulate(fits, make("weekly"))
    assert weekly.promotions == len(weekly.steps)
