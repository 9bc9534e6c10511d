"""A variant is a copy with changes that are named; the model's own folder stays as it is."""

import hashlib

import pytest

from evergreen.core.definition import load_definition
from evergreen.errors import BadInputError, DefinitionError
from evergreen.tools.experiment.variant import make_variant

BASE = load_definition("nyc_flights")


def digest(folder):
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir()) if f.is_file()}


def test_settings_and_files_are_changed_in_a_copy_and_named(tmp_path):
    before = digest(BASE.folder)
    draft = tmp_path / "draft"
    draft.mkdir()
    own = (BASE.folder / "features.py").read_text() + "\n# another line\n"
    (draft / "features.py").write_text(own)
    settings = {"training.candidates": ["linear"], "training.window": 24}
    made = make_variant(BASE, tmp_path / "variant", files=[draft], settings=settings)
    assert made.definition.training.candidates == ("linear",)
    assert made.definition.training.window == 24
    assert (made.definition.folder / "features.py").read_text() == own
    assert list(made.changes) == [
        f"training.window: {BASE.training.window} -> 24",
        f"training.candidates: {list(BASE.training.candidates)} -> ['linear']",
        "features.py: +2 -0 lines",
    ]
    assert "+# another line" in made.diff
    assert digest(BASE.folder) == before


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({}, BadInputError, "as it is: give --with"),
        ({"training.window": BASE.training.window}, BadInputError, "as it is"),
        ({"training.windows": 3}, DefinitionError, "model.yaml:"),
        ({"title.en": "x"}, BadInputError, "title of model.yaml holds a value"),
        ({"training.candidates": ["nobody"]}, DefinitionError, "nobody"),
        ({"target": "cancelled"}, BadInputError, "the variant's target is 'cancelled'"),
    ],
)
def test_what_is_no_variant_is_refused_in_words(tmp_path, settings, error, said):
    with pytest.raises(error) as caught:
        make_variant(BASE, tmp_path / "variant", settings=settings)
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["notes.txt", "features.pyc", "absent/features.py"])
def test_files_of_other_names_are_refused(tmp_path, name):
    file = tmp_path / name
    if "/" not in name:
        file.write_text("")
    with pytest.raises(BadInputError, match=r"no file that a model's folder has; give model\.yaml"):
        make_variant(BASE, tmp_path / "variant", files=[file])
