"""Files and modules that the documents name are there: a move must take the documents along."""

import re

import pytest

from evergreen.stack.config.home import PROJECT

DOCUMENTS = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/**/*.md")])
ROOTS = ("", "include/evergreen", "include/evergreen/loop", "include/evergreen/core", "include", "deploy", "tests/unit")
FILE = re.compile(r"`([a-z_]+(?:/[\w.-]+)+\.py)`")
MODULE = re.compile(r"`evergreen((?:\.[a-z_]+)+)`")
NO_PATH = {"search/candidates.py"}
"""The name of an artifact in MLflow"""
NO_MODULE = {".housekeeping", ".retention", ".env", ".candidates_hash"}
"""DAGs, a file of settings, a tag in MLflow"""


def is_module(dotted):
    parts = dotted.strip(".").split(".")
    whole, parent = PROJECT / "include" / "evergreen" / "/".join(parts), PROJECT / "include" / "evergreen"
    above = parent.joinpath(*parts[:-1])
    return (
        whole.is_dir() or whole.with_suffix(".py").is_file() or (len(parts) > 1 and above.with_suffix(".py").is_file())
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_a_document_names_is_there(document):
    text = document.read_text(encoding="utf-8")
    files = set(FILE.findall(text)) - NO_PATH
    assert not sorted(f for f in files if not any((PROJECT / root / f).is_file() for root in ROOTS))
    modules = set(MODULE.findall(text)) - NO_MODULE
    assert not sorted(m for m in modules if not is_module(m))
