"""Columns are found in accepted rows, whatever they were called when the rows were accepted."""

import pyarrow as pa
import pytest

from evergreen.core.definition.model import TableSection
from evergreen.loop.intake import accepted_rows

KINDS = {"id": "string", "at": "timestamp", "returned": "boolean"}
RENAMED = TableSection(columns=KINDS, aliases={"id": ("order",), "returned": ("came_back",)})
EARLIER = TableSection(columns={"order": "string", "came_back": "boolean"}, aliases={"order": ("id",)})


@pytest.fixture
def accepted(monkeypatch):
    """Reads of accepted rows give those of the columns that the rows have, as the store does."""

    def keep(**columns):
        table = pa.table(columns)

        def read(verdict, settings, names):
            return table.select([name for name in table.column_names if name in names])

        monkeypatch.setattr(accepted_rows, "read_clean_table", read)

    return keep


def found(section, *names):
    return accepted_rows.read_columns(None, None, section, names).to_pydict()


def test_under_todays_names_and_under_earlier_ones(accepted):
    for names in (("id", "returned"), ("order", "came_back"), ("id", "came_back")):
        accepted(**dict(zip(names, (["a", "b"], [True, None]), strict=True)))
        assert found(RENAMED, "id", "returned") == {"id": ["a", "b"], "returned": [True, None]}


def test_a_code_of_earlier_days_knows_them_under_their_earlier_names(accepted):
    accepted(id=["a"], came_back=[True])
    assert found(EARLIER, "order", "came_back") == {"order": ["a"], "came_back": [True]}
    assert found(EARLIER, "id") == {"id": ["a"]}


def test_numbers_that_became_text_find_each_other(accepted):
    accepted(id=[1, 2])
    assert found(RENAMED, "id") == {"id": ["1", "2"]}


def test_rows_without_such_a_column_are_not_taken_for_unlabelled(accepted):
    accepted(id=["a"])
    with pytest.raises(KeyError, match="returned"):
        found(RENAMED, "id", "returned")
