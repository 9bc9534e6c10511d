"""Which files feature code consists of, and two codes with a module of one name side by side."""

import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.load import load_definition
from evergreen.loop.features.code_files import beside, pack, unpack
from evergreen.loop.features.features_file import code_hash, load_build

SHIPPED = load_definition("nyc_flights")


@pytest.fixture
def folder(tmp_path):
    """Writes files into a model's folder."""

    def write(features, files):
        for name, text in {"features.py": features, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


ALL = {
    "helper.py": "x = 1", "pack/__init__.py": "", "pack/deep.py": "", "regions.csv": "a", "data/old.json": "{}",
    "data/new.json": "{}", "README.md": "# regions", "expectations.py": "", "notes.txt": "helper", "model.yaml": "",
    "__pycache__/helper.pyc": "", ".hidden": "",
}  # fmt: skip


def of(folder):
    return SHIPPED.model_copy(update={"folder": folder})


@pytest.mark.parametrize(
    ("source", "belongs"),
    [
        ("import helper", ["helper.py"]),
        ("from helper import x", ["helper.py"]),
        ("def build(i, h):\n    from helper import x\n", ["helper.py"]),
        ("import importlib\nimportlib.import_module('helper')", ["helper.py"]),
        ("import pack.deep", ["pack/__init__.py", "pack/deep.py"]),
        ("from pack import deep", ["pack/__init__.py", "pack/deep.py"]),
        ("P = Path(__file__).with_name('regions.csv')", ["regions.csv"]),
        ("P = Path(__file__).parent / 'data' / 'old.json'", ["data/new.json", "data/old.json"]),
        ("P = list(Path(__file__).parent.glob('*.csv'))", ["regions.csv"]),
        ("def p(x): return f'{x}ions.csv'", ["regions.csv"]),
        ("import expectations", ["expectations.py"]),
        ("def build(inputs, history): return inputs[['order_id', 'price']]", []),
        ("def build(:", []),
        ("import pandas", []),
    ],
)
def test_what_is_imported_or_named_belongs_and_nothing_else(folder, source, belongs):
    at = folder(source, ALL)
    assert list(beside(at)) == belongs


def test_what_a_helper_imports_belongs_too_and_changes_the_hash(folder):
    at = folder("import helper", {"helper.py": "import other", "other.py": "x = 1", "third.py": ""})
    first = code_hash(of(at))
    assert list(beside(at)) == ["helper.py", "other.py"]
    (at / "third.py").write_text("x = 3")
    (at / "README.md").write_text("other")
    (at / "expectations.py").write_text("x = 3")
    assert code_hash(of(at)) == first
    (at / "other.py").write_text("x = 2")
    assert code_hash(of(at)) != first


def test_code_without_other_files_has_the_hash_of_earlier_releases(folder):
    """Snapshots name it: another one would build every partition again."""
    import hashlib

    at = folder("def build(inputs, history):\n    return inputs\n", {"expectations.py": "", "README.md": ""})
    definition = of(at)
    digest = hashlib.sha256((at / "features.py").read_bytes())
    digest.update(definition.features.model_dump_json().encode())
    digest.update(definition.feed.model_dump_json(include={"entity", "event_time", "tables"}).encode())
    assert code_hash(definition) == digest.hexdigest()


@pytest.mark.parametrize("where", ["import unit\n\ndef build(i, h):\n", "def build(i, h):\n    import unit\n"])
def test_two_codes_may_each_have_a_module_of_one_name(tmp_path, where):
    builds = []
    for number in (1, 100):
        at = tmp_path / str(number)
        at.mkdir()
        (at / "features.py").write_text(f"{where}    return i.assign(x=unit.FACTOR)\n")
        (at / "unit.py").write_text(f"FACTOR = {number}\n")
        builds.append(load_build(of(at)))
    frame = pd.DataFrame({"a": [1]})
    for _ in range(2):
        assert [build(frame, frame)["x"].item() for build in builds] == [1, 100]
    assert "unit" not in sys.modules
    assert str(tmp_path / "1") not in sys.path


FILES = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.(py|csv)", fullmatch=True), st.binary(max_size=50), max_size=5
)


@given(files=FILES)
def test_packed_files_come_back_and_the_same_files_are_the_same_bytes(tmp_path_factory, files):
    data = pack(files)
    assert data == pack(dict(reversed(files.items())))
    folder = tmp_path_factory.mktemp("unpacked")
    unpack(data, folder)
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == files
