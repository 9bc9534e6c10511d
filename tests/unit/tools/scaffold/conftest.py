"""Files of a stranger: a few columns, as many rows as asked for."""

import pandas as pd
import pytest

from evergreen.core.definition.local_days import UTC, Clock
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.new import look
from evergreen.tools.scaffold.plan import Asked


@pytest.fixture
def planned(tmp_path):
    """Write columns as a CSV file and decide: `planned({"id": [...]}, target="y", ...)`."""

    def decide(columns, *, target="y", time="at", **asked):
        path = tmp_path / "data.csv"
        pd.DataFrame(columns).to_csv(path, index=False)
        return look(
            Asked("model", target, time, **asked), DataFile(path, clock=Clock(asked.get("timezone", UTC), "first"))
        )

    return decide
