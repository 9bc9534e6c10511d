"""Build what a code has not built yet, for a version that is to read partitions which other code has fed so far."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy.orm import Session

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected, partitions, references, snapshots
from evergreen.core.names import PartitionKey
from evergreen.loop.features.build import build
from evergreen.loop.features.build_plan import make_plan
from evergreen.loop.features.feature_code import FeatureCode
from evergreen.loop.intake.labels.usable import held_back
from evergreen.settings import Settings

log = logging.getLogger("evergreen.features")


def lacking(
    session: Session, code: FeatureCode, keys: Collection[PartitionKey], *, outdated: bool = False
) -> list[PartitionKey]:
    """Those of `keys`, oldest first, that another code has built and `code` has not, or from other rows.

    What `code` built from rows that are no longer accepted counts only with `outdated`: the features of the code that
    serves are built again by the loop itself. A partition that no code has built is left to the loop, too, and one
    whose rows retention has removed cannot be built.
    """
    model = code.definition.name
    some, own = (snapshots.current_map(session, model, keys, wanted) for wanted in (None, code.hash))
    if not outdated and some.keys() == own.keys():
        return []
    accepted = {table: partitions.accepted_keys(session, model, table) for table in ("inputs", "labels")}
    inputs, labels = (partitions.current_map(session, model, table, accepted[table]) for table in ("inputs", "labels"))
    gone, held, found = collected.gone(session, model), held_back(session, code.definition), []
    tables = references.accepted(session, model, code.definition.feed.references)
    for key in some:
        if key in inputs:
            plan = make_plan(code.definition, key, inputs, labels, held, tables)
            other = key not in own or (outdated and own[key].build_hash != plan.build_hash(model, code.hash))
            if other and not plan.names & gone:
                found.append(key)
    return found


def feed(
    code: FeatureCode,
    keys: Collection[PartitionKey],
    *,
    settings: Settings,
    outdated: bool = False,
    run_url: str | None = None,
) -> list[PartitionKey]:
    """Build what is `lacking`; the keys that were built, oldest first.

    Raises:
        QuarantinedError: the features suite refused a partition.
        BadInputError, DefinitionError: the code is at fault.
        UnavailableError: ledger, store, Git or DVC remote do not answer.
    """
    definition = code.definition
    with Ledger.from_settings(settings).transaction() as session:
        wanted = lacking(session, code, keys, outdated=outdated)
    if wanted:
        log.info(
            "%s: %d partitions, %s to %s, were built by other feature code than %s: they are built by it now",
            definition.name, len(wanted), wanted[0], wanted[-1], code.short,
        )  # fmt: skip
    for key in wanted:
        build(definition, key, settings=settings, run_url=run_url, code=code)
    return wanted
