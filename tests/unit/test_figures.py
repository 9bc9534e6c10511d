"""The page of measured figures says what the results say."""

import runpy
import sys

from evergreen.stack.config.home import PROJECT


def test_the_page_of_public_files_is_current():
    sys.path.insert(0, str(PROJECT))
    made = runpy.run_path(str(PROJECT / "bench" / "lib" / "public_files_page.py"))["page"]()
    assert (PROJECT / "docs" / "public-files.md").read_text(encoding="utf-8") == made, "run `make docs`"


def test_the_page_is_current():
    made = runpy.run_path(str(PROJECT / "bench" / "lib" / "figures.py"))["page"]()
    assert (PROJECT / "docs" / "figures.md").read_text(encoding="utf-8") == made, "run `make docs`"
