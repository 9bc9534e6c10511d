"""Names of what a model was made by: the code and the libraries."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.loop.features.features_file import code_hash as features_hash
from evergreen.loop.training.estimators.own import source_hash

LOCK = "requirements.lock"


def hash_json(value: Any) -> str:
    """SHA-256, hex, of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def code_hash(definition: ModelDefinition, features: str | None = None) -> str:
    """SHA-256, hex, over what turns a dataset into a model.

    That is the package's training code, the feature code (whose hash is `features`; by default that of today), the
    model's `candidates.py` if one of its candidates is trained, and the parts of the definition that training reads.
    """
    own = source_hash(definition)
    return hash_json(
        {
            "sources": training_sources(),
            **({"candidates": own} if own else {}),
            "features": features or features_hash(definition),
            "training": definition.training.model_dump(mode="json"),
            "task": definition.task,
            **({"classes": definition.classes} if definition.classes else {}),
            "target": definition.target,
            "loss": definition.loss,
            **_decision(definition),
        }
    )


def _decision(definition: ModelDefinition) -> dict[str, Any]:
    """The section `decision`, by which a version's rule is tuned, if there is one."""
    decision = definition.decision
    return {"decision": decision.model_dump(mode="json")} if decision else {}


def training_sources() -> dict[str, str]:
    """The package's training code: the text of each file, by its name below this folder."""
    folder = Path(__file__).parent
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}


def machine() -> str:
    """What sums floating point numbers here: another one may round the last bit another way.

    'x86_64, Python 3.11.7, openblas 0.3.29 Haswell, openmp'.
    """
    import sklearn.ensemble  # noqa: F401 - so that the libraries that it links are there to be asked
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    names = {
        " ".join(str(library[part]) for part in ("internal_api", "version", "architecture") if library.get(part))
        for library in threadpool_info()
    }
    return ", ".join([platform.machine(), f"Python {platform.python_version()}", *sorted(names)])


@cache
def lock_hash() -> str:
    """SHA-256, hex, of the deployment's `requirements.lock`; if there is none, of the installed versions."""
    for folder in Path(__file__).resolve().parents:
        lock = folder / LOCK
        if lock.is_file():
            return hashlib.sha256(lock.read_bytes()).hexdigest()
    return hash_json(sorted({f"{d.metadata['Name']}=={d.version}".lower() for d in distributions()}))
