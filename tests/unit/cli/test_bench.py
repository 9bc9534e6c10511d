"""`evergreen bench` finds each benchmark by its name, in the folder of its kind."""

import importlib.util

import pytest

from evergreen.cli.bench import FOLDER, KINDS, benchmarks
from evergreen.stack.config.home import PROJECT

FILES = [path for kind in KINDS for path in (FOLDER / kind).glob("*.py") if path.name != "__init__.py"]


def test_every_file_is_a_benchmark_of_a_name_of_its_own():
    assert len(benchmarks()) == len(FILES) > 15


@pytest.mark.parametrize("name", benchmarks())
def test_a_name_leads_to_a_module_that_answers_help(name, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT)
    spec = importlib.util.find_spec(benchmarks()[name])
    assert spec is not None
    source = (PROJECT / f"{spec.name.replace('.', '/')}.py").read_text()
    assert any(word in source for word in ("parse_args", "number_asked", "nothing_asked")), "--help would measure"
    assert 'if __name__ == "__main__":' in source
