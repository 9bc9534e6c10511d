"""docs/model-definition.md says what the schema says."""

from pathlib import Path

from evergreen.core.definition.document import document

PAGE = Path(__file__).parents[4] / "docs" / "model-definition.md"


def test_the_page_is_current():
    assert PAGE.read_text() == document(), "run `make docs`"


def test_every_field_is_explained():
    rows = [line for line in document().splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if row.split(" | ")[-1].strip(" |") == ""] == []
