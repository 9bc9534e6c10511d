"""Names of what a model was made by: the code and the libraries."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from evergreen.definition import ModelDefinition
from evergreen.features.code import code_hash as features_hash

LOCK = "requirements.lock"


def hash_json(value: Any) -> str:
    """SHA-256, hex, of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def code_hash(definition: ModelDefinition) -> str:
    """SHA-256, hex, over what turns a dataset into a model.

    That is the package's training code, the model's `features.py`, and the parts of the definition that training reads.
    """
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))}
    return hash_json(
        {
            "sources": sources,
            "features": features_hash(definition),
            "training": definition.training.model_dump(mode="json"),
            "task": definition.task,
            "target": definition.target,
            "loss": definition.loss,
        }
    )


@cache
def lock_hash() -> str:
    """SHA-256, hex, of the deployment's `requirements.lock`; where there is none, of the installed versions."""
    for folder in Path(__file__).resolve().parents:
        lock = folder / LOCK
        if lock.is_file():
            return hashlib.sha256(lock.read_bytes()).hexdigest()
    return hash_json(sorted({f"{d.metadata['Name']}=={d.version}".lower() for d in distributions()}))
