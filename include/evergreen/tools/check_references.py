"""Judge versions of reference tables on disk as if they had landed."""

from __future__ import annotations

from pathlib import Path

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.references import FOLDER, read_stamp
from evergreen.errors import BadInputError
from evergreen.loop.intake.landing_zone import local_drop
from evergreen.loop.intake.reading.file_types import files_of
from evergreen.loop.intake.references.judge import judge_reference_drop
from evergreen.loop.intake.validation.load_expectations import load_reference_expectations


def references_in(definition: ModelDefinition, folder: Path) -> list[tuple[str, str, Path]]:
    """(name, stamp, file) of the references that lie in `folder`: a feed's, its `references`, or one version's.

    Of a version's own folder the name of the file says which reference it is, and the folder's name is the stamp, also
    if it is none.
    """
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    found = []
    for name in definition.feed.references:
        own = _file_in(folder, name)
        places = [folder] if own else sorted(p for p in _folders(root / name) if not p.name.startswith(("_", ".")))
        for place in places:
            stamp, file = place.resolve().name, _file_in(place, name)
            if file is not None:
                found.append((name, stamp, file))
    return found


def _folders(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []


def _file_in(place: Path, name: str) -> Path | None:
    files = files_of(name, sorted(file.name for file in place.iterdir() if file.is_file()))
    if files:
        return place / files[0]
    # The folder of a reference has folders of stamps in it; part files lie in one that is named like it.
    parts = place / name
    return parts if parts.is_dir() and any(path.is_file() for path in parts.iterdir()) else None


def check_reference(
    definition: ModelDefinition, name: str, stamp: str, file: Path
) -> tuple[bool, str, int | None, list[dict[str, object]]]:
    """Whether a version would be accepted, the reason, its rows, and what is wrong with it.

    A folder whose name is no stamp is never looked into by intake: that is the reason then.
    """
    try:
        read_stamp(definition.partitions, stamp)
    except BadInputError as error:
        return False, f"it would never be read: {error}", None, []
    rules = load_reference_expectations(definition, name)
    found = judge_reference_drop(local_drop(file), definition, name, rules)
    return found.accepted, found.reason, found.rows, [failure.to_json() for failure in found.failures]
