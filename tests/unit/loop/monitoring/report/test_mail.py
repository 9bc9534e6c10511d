"""The mail about a check: what was expected of a loss, and of which class a change is."""

from types import SimpleNamespace

import pytest

from evergreen.core.ledger.tables import Performance
from evergreen.loop.monitoring.report import mail
from evergreen.loop.monitoring.telling.expected import Expectation
from evergreen.loop.monitoring.telling.impact import Impact
from evergreen.loop.monitoring.telling.weigh import Weighed
from helpers.drift_frames import SMALL

VALUES = SMALL.model_copy(update={"task": "regression"})
LOSS = Performance(key="2013-06-24", loss=5.9, metrics={"expected_loss": 0.0})


@pytest.mark.parametrize(
    ("definition", "key", "said"),
    [
        (VALUES, "2013-06-24", "; 4.1000 was expected"),
        (VALUES, "2013-06-17", ""),
        (SMALL, "2013-06-24", "; 4.1000 was expected"),
        (SMALL, "2013-06-17", "; 0.0000 was expected"),
    ],
)
def test_what_was_expected_is_what_the_rest_of_the_mail_says_and_values_expect_nothing_of_themselves(
    definition, key, said
):
    found = SimpleNamespace(weighed=Weighed(expectation=Expectation(key, 5.9, 4.1, 5.0, above=True)))
    assert mail._expected(definition, found, LOSS) == said


def test_of_several_classes_the_table_says_whose_mean_changes():
    column = SimpleNamespace(name="price", change="rose", effect=0.6, p_value=0.001, drifted=True)
    found = SimpleNamespace(
        ranked=[column],
        drift=SimpleNamespace(prediction=None),
        label=None,
        weighed=Weighed(impacts=(Impact("price", 0.3, 0.2, None, "swap"),)),
    )
    assert mail._table(found).rows[0][1] == "0.3 (+0.2 in the mean of swap)"
