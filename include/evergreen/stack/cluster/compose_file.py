"""docker-compose.yaml as the cluster shape reads it: the parts of each service that do not need Docker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evergreen.errors import SettingsError

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?P<rest>[^}]*)\})")


@dataclass(frozen=True)
class ComposeService:
    """One service, its variables filled in.

    Attributes:
        ours: whether it runs our image.
        entrypoint: None if the image's own is kept.
        check: the command of its health check; empty if it has none.
        needs: services that must be healthy (or done) first, without those that may be missing and are.
        ends: whether it runs once.
        files: files of the checkout that it sees: path in the container, and path from the checkout.
        secrets: values of the files below /run/secrets, by path.
    """

    name: str
    ours: bool
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...]
    environment: Mapping[str, str]
    check: tuple[str, ...]
    needs: tuple[str, ...]
    ends: bool
    files: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


def read(path: Path, variables: Mapping[str, str]) -> dict[str, ComposeService]:
    """The services of a compose file.

    Args:
        path: the file.
        variables: what `.env` holds for Docker.

    Raises:
        SettingsError: the file is missing, or demands a variable that is not among `variables`.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
        raw = document["services"]
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist: the cluster shape runs what it says. Start it from a checkout."
        ) from None
    image = raw["init"]["image"]
    known = {
        name: fill(f"${{{where['environment']}:?}}", variables, path) for name, where in document["secrets"].items()
    }
    return {
        name: _service(name, _present(_filled(spec, variables, path), raw), spec["image"] == image, known)
        for name, spec in raw.items()
    }


def fill(text: str, variables: Mapping[str, str], where: object) -> str:
    """What Docker makes of a value: `${NAME:?message}` must be set, `${NAME:-default}` need not, `$$` is a dollar.

    Raises:
        SettingsError: a variable is not set.
    """

    def found(match: re.Match[str]) -> str:
        name, rest = match["name"], match["rest"]
        if name is None:
            return "$"
        if rest.startswith(":-"):
            return variables.get(name) or rest[2:]
        if not variables.get(name):
            raise SettingsError(f"{where} names ${{{name}}}, which is not set: {rest.lstrip(':?') or 'set it'}.")
        return variables[name]

    return _VARIABLE.sub(found, text)


def _filled(value: Any, variables: Mapping[str, str], where: object) -> Any:
    if isinstance(value, dict):
        return {k: _filled(v, variables, where) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, variables, where) for v in value]
    return fill(value, variables, where) if isinstance(value, str) else value


def _present(spec: dict[str, Any], services: Mapping[str, Any]) -> dict[str, Any]:
    """A service without the dependencies that the file calls not required and does not have."""
    needs = spec.get("depends_on", {})
    return spec | {"depends_on": [name for name, how in needs.items() if name in services or how.get("required", True)]}


def _service(name: str, spec: Mapping[str, Any], ours: bool, secrets: Mapping[str, str]) -> ComposeService:
    entrypoint = spec.get("entrypoint")
    kind, *check = spec.get("healthcheck", {}).get("test", ["NONE"])
    return ComposeService(
        name=name,
        ours=ours,
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        command=tuple(spec.get("command", ())),
        environment=dict(spec.get("environment", {})),
        check=("sh", "-c", *check) if kind == "CMD-SHELL" else tuple(check),
        needs=tuple(spec.get("depends_on", ())),
        ends=spec["restart"] == "no",
        files={target: source for source, target in _mounted(spec) if source.startswith("./")},
        secrets={f"/run/secrets/{secret}": secrets[secret] for secret in spec.get("secrets", ())},
    )


def _mounted(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    parts = (volume.split(":") for volume in spec.get("volumes", ()))
    return [(source, target) for source, target, *_ in parts]
