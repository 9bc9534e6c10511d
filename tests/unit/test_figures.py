"""The page of measured figures says what the results say."""

import runpy

from evergreen.stack.config.home import PROJECT


def test_the_page_is_current():
    made = runpy.run_path(str(PROJECT / "bench" / "lib" / "figures.py"))["page"]()
    assert (PROJECT / "docs" / "figures.md").read_text(encoding="utf-8") == made, "run `make docs`"
