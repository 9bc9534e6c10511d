"""Housekeeping of all models in turn: one model's failure keeps no other from its turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from evergreen.core.definition import ModelDefinition
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.settings import Settings

log = logging.getLogger("evergreen.dags")  # its name in task logs since the DAG file held this: people filter by it

FIND_LIMIT = 1000
"""Runs that one look starts, of all models together: Airflow maps a task over 1,024 things by default."""

Found = TypeVar("Found")


def reconcile_aliases(models: Iterable[ModelDefinition], *, settings: Settings) -> list[str]:
    """Set the registry's aliases to what the ledger says; the names of the models if they differed.

    Raises:
        EvergreenError: it failed for the models that are named, after all others have had their turn.
    """
    from evergreen.loop.champion.alias import reconcile

    moved, errors = list[str](), dict[str, EvergreenError]()
    for definition in models:
        try:
            if reconcile(definition, settings=settings):
                moved.append(definition.name)
        except EvergreenError as error:
            log.error("%s: %s", definition.name, error)
            errors[definition.name] = error
    if errors:
        first = next(iter(errors.values()))
        raise type(first)(f"the registry's alias was not reconciled for {', '.join(errors)}: {first}")
    return moved


def find_in_each(
    models: Sequence[ModelDefinition], find: Callable[[ModelDefinition, int], Iterable[Found]]
) -> list[Found]:
    """What `find` gives for each model, in their order.

    Args:
        models: the definitions.
        find: called with a definition and the most that it may find, so that nothing that it records as acted on is
            cut off afterwards.

    Raises:
        UnavailableError: nothing was found, and each failure was a server that did not answer.
        EvergreenError: nothing was found, and a model failed otherwise.
    """
    limit = max(1, FIND_LIMIT // max(1, len(models)))
    found, errors = list[Found](), list[EvergreenError]()
    for definition in models:
        try:
            found += find(definition, limit)
        except EvergreenError as error:
            log.error("%s: %s", definition.name, error)
            errors.append(error)
    if errors and not found:
        raise next((error for error in errors if not isinstance(error, UnavailableError)), errors[0])
    return found
