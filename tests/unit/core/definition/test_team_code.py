"""A model's code runs as it is, however fast it was corrected."""

import importlib.util
import os

from evergreen.core.definition.team_code import spec_of


def test_a_file_changed_within_the_same_second_runs_as_it_is_now(tmp_path):
    path, found = tmp_path / "features.py", []
    for value in (1, 2):
        path.write_text(f"VALUE = {value}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        spec = spec_of("some_features", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module.VALUE)
    assert found == [1, 2]
    assert not (tmp_path / "__pycache__").exists()
