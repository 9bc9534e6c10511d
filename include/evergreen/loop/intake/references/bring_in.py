"""Bring versions of reference tables in: copy what landed, judge it, and record both at once."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.references import FOLDER, STAMP
from evergreen.core.frames import to_parquet
from evergreen.core.ledger import Ledger, incidents, outbox
from evergreen.core.ledger.outbox import AlertBody, Links, Table
from evergreen.core.ledger.queries import references
from evergreen.core.ledger.queries.partitions import ACCEPTED, QUARANTINED
from evergreen.core.ledger.tables import ReferenceVersion
from evergreen.core.names import ObjectName, Uri
from evergreen.core.store import Store, layout
from evergreen.core.store.layout import join
from evergreen.core.store.objects import sha256
from evergreen.core.text import plain
from evergreen.core.values import VerdictOutcome
from evergreen.errors import DefinitionError, EvergreenError, UnavailableError
from evergreen.loop.intake import lake
from evergreen.loop.intake.drop_content import chunks_of, content_of, describe_parts
from evergreen.loop.intake.failures import Failure, UnfitFileError, critical, unfit
from evergreen.loop.intake.landed_folder import LAKES
from evergreen.loop.intake.landing_zone import Drop, find_drop
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.quarantine_incidents import cause
from evergreen.loop.intake.raw_parts import keep, list_of, raw_content
from evergreen.loop.intake.reading.parts import Parts
from evergreen.loop.intake.references.judge import judge_reference, refused, rules_hash
from evergreen.loop.intake.references.landed import Landed, list_references
from evergreen.loop.intake.validation.judge import too_large
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.loop.intake.validation.load_expectations import load_reference_expectations
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")

SETTLED = dt.timedelta(minutes=10)
"""A folder younger than this may still be renamed by its producer"""


@dataclass(frozen=True)
class BroughtIn:
    """A version that this call has recorded."""

    name: str
    stamp: str
    outcome: VerdictOutcome
    reason: str
    rows: int | None


def bring_in(
    definition: ModelDefinition, *, settings: Settings, run_url: str | None = None, now: dt.datetime | None = None
) -> list[BroughtIn]:
    """Bring in what has landed of the references and is not on record; what was recorded, by name, oldest stamp first.

    The same bytes again change nothing. Other bytes under a stamp that is accepted are quarantined: features were built
    from it, and a correction has a stamp of its own. Folders that are no versions are told by mail, once each.

    Raises:
        DefinitionError: the expectations cannot be loaded.
        UnavailableError: landing zone, store or ledger do not answer, or a file changed while it was read.
    """
    if not definition.feed.references:
        return []
    now = now or dt.datetime.now(dt.UTC)
    zone = list_references(definition, settings.landing_url, settled=now - SETTLED)
    done, failed = [], list[EvergreenError]()
    for landed in zone.landed:
        try:
            done.append(_bring_in(definition, landed, settings, run_url))
        except (UnavailableError, DefinitionError) as error:  # of one version: the others are brought in all the same
            log.warning("%s: %s was not brought in: %s", definition.name, landed.what, error)
            failed.append(error)
    for name, why in zone.strays.items():
        log.warning("%s: references/%s was not brought in: %s", definition.name, plain(name), why)
    if zone.strays:
        with Ledger.from_settings(settings).transaction() as session:
            for name, why in zone.strays.items():
                _tell_stray(session, definition, name, why)
    if failed:
        raise failed[0]
    return [one for one in done if one is not None]


def _bring_in(definition: ModelDefinition, landed: Landed, settings: Settings, run_url: str | None) -> BroughtIn | None:
    model, name, stamp, drop = definition.name, landed.name, landed.stamp.text, landed.drop
    expectations = load_reference_expectations(definition, name)
    rules = rules_hash(definition, name, expectations)
    ledger = Ledger.from_settings(settings)
    with ledger.transaction() as session:
        rows = references.all_of_stamp(session, model, name, stamp)
        accepted = _accepted(rows)
        seen = next((row for row in rows if _is_known(row, drop, rules)), None)
        if seen is not None:
            if seen is accepted and len(rows) > 1:  # a producer may put the accepted file back with its old time
                _tell_restored(session, definition, landed)
            return None
    raw_uri, content_hash = _copy(definition, landed, settings)
    judgement = None
    if accepted is None:
        judgement = _judge(definition, name, raw_uri, drop, expectations, settings)
    with ledger.lock("reference", model, name) as session:
        rows = references.all_of_stamp(session, model, name, stamp)
        accepted = _accepted(rows)
        # Bytes that were refused may come back after others that were: they have their verdict.
        for known in rows:
            if known.content_hash == content_hash and _counts(known, rules):
                known.landed_again_at = drop.modified if drop.modified != known.landed_at else None
                if known.outcome == ACCEPTED:
                    _tell_restored(session, definition, landed)
                else:
                    _tell(session, definition, landed, known)
                return None
        if accepted is not None or judgement is None:
            judgement = refused(_changed(landed, accepted))
        row = _row(definition, landed, judgement, settings, raw_uri, content_hash, rules)
        row.run_url = run_url
        session.add(row)
        session.flush()
        _tell(session, definition, landed, row)
    level = logging.INFO if row.outcome == ACCEPTED else logging.WARNING
    log.log(level, "%s: %s: %s: %s (kept as %s)", model, landed.what, row.outcome, row.reason, raw_uri)
    return BroughtIn(name, stamp, row.outcome, row.reason, row.rows)


def _accepted(rows: list[ReferenceVersion]) -> ReferenceVersion | None:
    return next((row for row in rows if row.outcome == ACCEPTED), None)


def _counts(known: ReferenceVersion, rules: str) -> bool:
    """Whether the verdict still counts: no rule has changed that refused it."""
    return known.outcome == ACCEPTED or known.rules_hash == rules


def _is_known(known: ReferenceVersion | None, drop: Drop, rules: str) -> bool:
    """Whether the drop is what was recorded, by what a listing says of it."""
    if known is None:
        return False
    same = (drop.uri, drop.size, drop.modified) == (
        known.landed_uri, known.bytes, known.landed_again_at or known.landed_at,
    )  # fmt: skip
    return same and _counts(known, rules)


def _copy(definition: ModelDefinition, landed: Landed, settings: Settings) -> tuple[Uri, str]:
    """Copy what landed into the store; where it is, and its SHA-256. What is too large stays where it landed."""
    drop, store = landed.drop, Store.from_settings(settings)

    def named(content_hash: str, suffix: str) -> ObjectName:
        return layout.reference_table(definition.name, landed.name, landed.stamp.text, content_hash, suffix)

    if drop.size > LIMITS.file_bytes and drop.suffix not in LAKES:
        return drop.uri, sha256(f"{drop.uri} {drop.size} {drop.modified.isoformat()}".encode())
    if drop.parts:
        listed = list_of(describe_parts(drop), drop.suffix)
        content_hash = sha256(listed)
        kept = keep(store, named(content_hash, layout.PARTS), listed, lambda part: chunks_of(Uri(f"{drop.uri}/{part}")))
        _check_unchanged(definition, landed, settings)
        return kept, content_hash
    try:
        data = lake.read(lake.local_path(drop.uri), drop.suffix)[1] if drop.suffix in LAKES else content_of(drop)[0]
    except UnfitFileError as error:
        # Kept as what it says of itself: it is quarantined with these words.
        said = json.dumps({"unreadable": [failure.to_json() for failure in error.failures]}).encode()
        return store.write(named(sha256(said), layout.UNREADABLE), said), sha256(said)
    if isinstance(data, Parts) or data is None:
        raise TypeError("part files are copied one by one")
    if drop.suffix not in LAKES:
        _check_unchanged(definition, landed, settings, len(data) == drop.size)
    suffix, content_hash = "parquet" if drop.suffix in LAKES else drop.suffix, sha256(data)
    return store.write(named(content_hash, suffix), data), content_hash


def _check_unchanged(definition: ModelDefinition, landed: Landed, settings: Settings, whole: bool = True) -> None:
    """Refuse what was written while it was read: a torn version would be accepted for good."""
    drop, root = landed.drop, f"{settings.landing_url.rstrip('/')}/{join(definition.feed.name, FOLDER)}"
    if find_drop(root, landed.name, landed.name, landed.stamp.text) != drop or not whole:
        raise UnavailableError(f"{drop.uri} changed while it was read; nothing was recorded, the next try reads it")


def _judge(
    definition: ModelDefinition, name: str, raw_uri: Uri, drop: Drop, expectations: list[Any], settings: Settings
) -> Judgement:
    store = Store.from_settings(settings)
    if raw_uri == drop.uri:
        return refused(too_large(drop.size))
    try:
        data, suffix = raw_content(store, raw_uri)
    except UnfitFileError as error:
        return refused(*error.failures)
    return judge_reference(data, suffix, definition, name, expectations)


def _changed(landed: Landed, accepted: ReferenceVersion | None) -> Failure:
    stamp, digest = landed.stamp, accepted.content_hash[:12] if accepted is not None else "of before"
    following = f"{stamp.text.partition('.')[0]}.{stamp.revision + 1}"
    return unfit(
        "immutable",
        f"{landed.what} was accepted with other bytes (SHA-256 {digest}), and features may have "
        "been built from them. Land what became known later under a stamp of its own; land a correction of what was "
        f"known then as {following}: the partitions that read it are built again",
        observed="other bytes", expected="a stamp of its own",
    )  # fmt: skip


def _row(
    definition: ModelDefinition,
    landed: Landed,
    judgement: Judgement,
    settings: Settings,
    raw_uri: Uri,
    content_hash: str,
    rules: str,
) -> ReferenceVersion:
    drop, clean_uri = landed.drop, None
    if judgement.accepted and judgement.frame is not None:
        data = to_parquet(judgement.frame, definition.feed.references[landed.name].columns)
        # By other rules the same bytes may be other rows; a task that was killed may have left those of before.
        suffix = f"{rules[:8]}.clean.parquet"
        name = layout.reference_table(definition.name, landed.name, landed.stamp.text, content_hash, suffix)
        clean_uri = Store.from_settings(settings).write(name, data)
    return ReferenceVersion(
        model=definition.name, name=landed.name, stamp=landed.stamp.text, known_from=landed.stamp.known_from,
        revision=landed.stamp.revision, content_hash=content_hash, rules_hash=rules,
        landed_uri=drop.uri, raw_uri=raw_uri, clean_uri=clean_uri, bytes=drop.size,
        rows=judgement.rows, landed_at=drop.modified,
        outcome=ACCEPTED if clean_uri else QUARANTINED, reason=judgement.reason,
        failures=[failure.to_json() for failure in judgement.failures],
    )  # fmt: skip


def _tell(session: Session, definition: ModelDefinition, landed: Landed, row: ReferenceVersion) -> None:
    """Have the verdict open or end an incident, with its mail, in the transaction that records it."""
    owe, scope = partial(outbox.owe, session, definition), f"reference {landed.name}"
    failures = [Failure.from_json(failure) for failure in row.failures]
    if row.outcome == ACCEPTED:
        # It takes the place of those that were not accepted, but for those that became known later.
        incidents.resolve_others(
            session, definition.name, "quarantine", scope, _later_in_quarantine(session, row),
            how=f"{landed.what} was accepted", owe=owe, now=dt.datetime.now(dt.UTC),
        )  # fmt: skip
        return
    met = incidents.Met(f"reference:{row.id}", None, row.reason, part=landed.stamp.text, run_url=row.run_url)
    incidents.occur(
        session, definition.name, cause(scope, failures), [met],
        subject=f"{scope} quarantined", body=_mail(definition, landed, row, failures), owe=owe,
    )  # fmt: skip


def _later_in_quarantine(session: Session, accepted: ReferenceVersion) -> set[str]:
    """Stamps later than that of `accepted` of which nothing is accepted."""
    rows = [row for row in references.all_of(session, accepted.model) if row.name == accepted.name]
    done = {row.stamp for row in rows if row.outcome == ACCEPTED}
    mine = (accepted.known_from, accepted.revision)
    return {row.stamp for row in rows if (row.known_from, row.revision) > mine} - done


def _tell_restored(session: Session, definition: ModelDefinition, landed: Landed) -> None:
    """Other bytes had been landed under an accepted stamp, and the accepted ones lie there again."""
    incidents.well(
        session, definition.name, "quarantine", f"reference {landed.name}", part=landed.stamp.text, key=None,
        how="the accepted bytes lie there again", owe=partial(outbox.owe, session, definition), came_through=False,
    )  # fmt: skip


def _mail(definition: ModelDefinition, landed: Landed, row: ReferenceVersion, failures: list[Failure]) -> AlertBody:
    return AlertBody(
        headline=f"{landed.what} did not pass validation and was put into quarantine",
        summary=f"{row.reason}. Features go on reading the version before; nothing was built from this one.",
        facts=[
            ("Feed", definition.feed.name),
            ("Reference", f"{row.name}, stamp {row.stamp}"),
            ("Rows", f"{row.rows:,}" if row.rows is not None else "could not be read"),
            ("Landed as", row.landed_uri),
            ("Kept as", row.raw_uri),
            ("SHA-256", row.content_hash),
        ],
        table=Table(
            columns=["Column", "What is wrong", "Rows", "Examples"],
            rows=[[f.column or "(file)", f.sentence, f.count, ", ".join(f.sample)] for f in critical(failures)],
        ),
        next_steps=[
            f"If the file is wrong: ask {definition.owner} to land it again, with _SUCCESS last.",
            f"If a rule is wrong: correct include/models/{definition.name}/expectations.py or model.yaml.",
            f"Then trigger the DAG {definition.name}.ingest_references, or wait for its next run.",
        ],
        links=Links(log=row.run_url),
    )


def _tell_stray(session: Session, definition: ModelDefinition, name: str, why: str) -> None:
    """Owe a mail about a folder that is no version, once."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    outbox.owe(
        session, definition, kind="stray_drop", key=None, dedup_key=f"stray_drop:references:{digest}",
        subject="something in the folder of references was not brought in",
        body=AlertBody(
            headline=f"references/{plain(name)} was not brought in",
            summary=f"{why}. Features go on reading the version before; this is reported once.",
            facts=[("Feed", definition.feed.name)],
            table=Table(columns=["Folder", "What is wrong"], rows=[[plain(name), why]]),
            next_steps=[
                f"Ask {definition.owner} to land the version whole, with _SUCCESS last, as references/<name>/<stamp>/"
                f"<name>.csv or another ending. A stamp is {STAMP}.",
                "If it is no reference, have it removed from that folder.",
            ],
        ),
    )  # fmt: skip
