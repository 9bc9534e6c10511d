"""Who serves: the ledger says it, the registry's alias follows."""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Deployment
from evergreen.loop.training.tracking import CHAMPION, Registry, answering
from evergreen.settings import Settings

log = logging.getLogger("evergreen.champion")


def current(session: Session, model: str) -> Deployment | None:
    """The deployment in force, or None before the first promotion."""
    return versions.current_deployment(session, model)


def reconcile(definition: ModelDefinition, *, settings: Settings) -> bool:
    """Set the registry's alias `champion` to the version that the ledger says serves; whether it differed.

    Raises:
        BadInputError: the registry has lost the version.
        UnavailableError: ledger or registry do not answer.
    """
    with Ledger.from_settings(settings).lock("champion", definition.name) as session:
        deployment = current(session, definition.name)
        if deployment is None:
            return False
        with answering(settings, f"set the champion alias of {definition.name}"):
            moved = Registry(settings, definition.name).set_alias(CHAMPION, deployment.version)
    if moved:
        log.info("%s: alias champion set to version %d, as the ledger says", definition.name, deployment.version)
    return moved
