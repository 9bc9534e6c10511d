"""Saved models: bytes that name the model, and a loader that trusts nobody it was not told to."""

import io
import json
import zipfile

import numpy as np
import pytest
import skops.io as sio

from evergreen.errors import BadInputError, RefusedError
from evergreen.loop.training.learn import learn
from evergreen.loop.training.model_files import CHUNK_ROWS, Predictor, content_hash, freeze, thaw
from helpers.synthetic_examples import definition, examples

TRUSTED = definition().training.trusted_types


@pytest.fixture(scope="module")
def boosted():
    return learn(definition(candidates=("boosted",)), examples()).model


def test_a_model_comes_back_as_it_was_and_its_bytes_name_it(boosted):
    data = freeze(boosted)
    back = thaw(data, TRUSTED, what="it")
    features = examples(seed=3).features
    assert Predictor(back, 1).predict(features).tobytes() == Predictor(boosted, 1).predict(features).tobytes()
    assert content_hash(freeze(back)) == content_hash(freeze(boosted)) == content_hash(data)
    assert sio.dumps(boosted) != sio.dumps(back)


def test_an_untrusted_type_is_refused_by_name(boosted):
    with pytest.raises(RefusedError, match=r"orders version 3 was not loaded.*TreePredictor.*training\.trusted_types"):
        thaw(freeze(boosted), (), what="orders version 3")


def test_a_tampered_file_is_refused(boosted):
    with zipfile.ZipFile(io.BytesIO(freeze(boosted))) as source:
        files = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(files["schema.json"])
    schema |= {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, data in (files | {"schema.json": json.dumps(schema).encode()}).items():
            target.writestr(name, data)
    with pytest.raises(RefusedError, match=r"os\.system|posix\.system"):
        thaw(buffer.getvalue(), TRUSTED, what="it")


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_what_is_no_model_file_is_named(data):
    with pytest.raises(BadInputError, match="it cannot be read as a skops file"):
        thaw(data, TRUSTED, what="it")


def test_prediction_in_chunks_is_prediction(boosted):
    features = examples(weeks=2).features
    many = features.iloc[np.arange(CHUNK_ROWS + 5) % len(features)]
    found = Predictor(boosted, 1).predict(many)
    assert found.shape == (CHUNK_ROWS + 5,)
    assert (found[: len(features)] == Predictor(boosted, 1).predict(features)).all()


def test_a_missing_feature_is_named(boosted):
    with pytest.raises(BadInputError, match="reads the features age, which the frame lacks"):
        Predictor(boosted, 1).predict(examples().features.drop(columns="age"))
