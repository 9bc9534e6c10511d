"""Give a received partition version its verdict, and record it."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.frames import as_file, to_parquet
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.outbox import AlertBody
from evergreen.core.ledger.queries.collected import explained
from evergreen.core.ledger.queries.partitions import ACCEPTED, QUARANTINED, latest_verdict
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import Store, layout
from evergreen.core.store.page_links import report
from evergreen.core.values import VerdictOutcome
from evergreen.errors import BadInputError
from evergreen.loop.intake import lateness, pseudonyms, quarantine, quarantine_incidents
from evergreen.loop.intake.comparisons.past import Past
from evergreen.loop.intake.failures import UnfitFileError, reason
from evergreen.loop.intake.labels import coverage
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.raw_parts import raw_content
from evergreen.loop.intake.validation import data_docs, gather_past, judged_before
from evergreen.loop.intake.validation.earlier_columns import since_accepted
from evergreen.loop.intake.validation.judge import judge, recorded_hash, too_large, verdict_hash
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")


@dataclass(frozen=True)
class Validated:
    """The verdict that counts for a partition version, and whether this call gave it."""

    partition_version_id: int
    verdict_id: int
    model: str
    table: TableName
    key: PartitionKey
    version: int
    outcome: VerdictOutcome
    reason: str
    rows: int
    """Rows accepted"""
    rows_rejected: int
    """Rows put into quarantine: all of them, or the bad ones that the definition allows"""
    failures: list[dict[str, Any]]
    """Warnings included; each with name, column, severity, observed, expected, sentence, count, sample, rows"""
    results_uri: Uri | None
    clean_uri: Uri | None
    rejected_uri: Uri | None
    new: bool


def validate(
    definition: ModelDefinition,
    partition_version_id: int,
    *,
    settings: Settings,
    run_url: str | None = None,
    asked_by: str | None = None,
    why: str | None = None,
) -> Validated:
    """Validate a received partition version against the definition and the model's expectations.

    Anything wrong with the data ends as a verdict, with its mail written in the same transaction; it is for the caller
    to stop on `outcome`. Asked again with the same rules and expectations, the first verdict is returned. Then it is
    measured how many of what is accepted has a label.

    Args:
        definition: the model.
        partition_version_id: as `receive` returned it.
        settings: where ledger and store are.
        run_url: address of the task's log.
        asked_by: who had it taken out of quarantine; None if it is judged as it came.
        why: the reason that person gave.

    Raises:
        BadInputError: there is no such version of this model.
        CollectedError: the expectations have changed, and retention has removed the bytes to validate again.
        DefinitionError: the model's expectations are missing or contradict its definition.
        SettingsError: the key of the table's personal columns is missing or another one than before.
    """
    found = _validate(definition, partition_version_id, settings, run_url=run_url, asked_by=asked_by, why=why)
    coverage.review(definition, settings=settings)
    return found


def _validate(
    definition: ModelDefinition,
    partition_version_id: int,
    settings: Settings,
    *,
    run_url: str | None,
    asked_by: str | None,
    why: str | None,
) -> Validated:
    partition, verdict = _look_up(definition, partition_version_id, settings)
    table = partition.table
    expectations = load_expectations(definition, table)
    under = verdict_hash(definition, table, expectations)
    if verdict is not None and verdict.suite_hash == recorded_hash(under, accepted=verdict.outcome == ACCEPTED):
        log.info(
            "%s of %s, version %d: %s before: %s",
            table,
            partition.key,
            partition.version,
            verdict.outcome,
            verdict.reason,
        )
        return _validated(partition, verdict, new=False)
    store = Store.from_settings(settings)
    rules = gather_past.rules_for(definition, partition, expectations, settings)
    past = gather_past.past_of(definition, partition, rules, settings)
    judgement = _judge(definition, partition, rules, past, store, settings)
    suite_hash = recorded_hash(under, accepted=judgement.accepted)
    evidence = hashlib.sha256(f"{suite_hash}{past.digest}".encode()).hexdigest()
    verdict = _keep(definition, partition, judgement, suite_hash, evidence, store)
    verdict.run_url, verdict.asked_by, verdict.why = run_url, asked_by, why
    mail = None
    if not judgement.accepted:
        sample_uri = store.uri(quarantine.sample_name(partition, evidence))
        mail = quarantine.alert_body(
            definition, partition, judgement, sample_uri,
            results_uri=verdict.results_uri, airflow_url=settings.airflow_url, run_url=run_url,
        )  # fmt: skip
    partition.rows = judgement.rows
    given = _record(definition, partition, verdict, mail, settings)
    _tell(partition, given, settings)
    return _validated(partition, given, new=given is verdict)


def _look_up(
    definition: ModelDefinition, partition_version_id: int, settings: Settings
) -> tuple[PartitionVersion, Verdict | None]:
    with Ledger.from_settings(settings).transaction() as session:
        partition = session.get(PartitionVersion, partition_version_id)
        if partition is None or partition.model != definition.name:
            raise BadInputError(f"{definition.name} has no partition version with id {partition_version_id}")
        return partition, latest_verdict(session, partition_version_id)


def _judge(
    definition: ModelDefinition,
    partition: PartitionVersion,
    rules: list[Any],
    past: Past,
    store: Store,
    settings: Settings,
) -> Judgement:
    if partition.bytes > LIMITS.file_bytes:
        failure = too_large(partition.bytes)
        return Judgement(False, failure.sentence, (failure,), None, None)
    table = partition.table
    personal = pseudonyms.personal(definition, table)
    if personal and not partition.raw_uri.startswith(f"{store.url}/"):
        failure = pseudonyms.unreadable(partition.raw_uri)
        return Judgement(False, failure.sentence, (failure,), None, None)
    what = f"version {partition.version} of the {partition.table} of {partition.key}"
    try:
        with explained(settings, what, [partition.raw_uri]):
            data, suffix = raw_content(store, partition.raw_uri)
    except UnfitFileError as error:
        return Judgement(False, reason(error.failures), error.failures, None, None)
    if personal and not pseudonyms.is_replaced(partition.raw_uri):
        # Received before the columns were declared as personal.
        try:
            data = pseudonyms.replace(data, suffix, definition, table, pseudonyms.key_of(settings, definition))
            suffix = pseudonyms.kept_suffix(suffix)
        except UnfitFileError:
            failure = pseudonyms.unreadable(partition.raw_uri)
            return Judgement(False, failure.sentence, (failure,), None, None)
    return judge(
        data,
        suffix,
        definition,
        table,
        partition.key,
        rules,
        past=past,
        newer=since_accepted(definition, partition, settings),
    )


def _keep(
    definition: ModelDefinition,
    partition: PartitionVersion,
    judgement: Judgement,
    suite_hash: str,
    evidence: str,
    store: Store,
) -> Verdict:
    """Write what the verdict refers to: results, and accepted rows with their profile or a sample of the bad ones.

    Accepted rows are the same under one suite whatever they are compared with; what is said of them is named by
    `evidence`, which covers that too.
    """
    table, key, content = partition.table, partition.key, partition.content_hash
    results_uri = clean_uri = rejected_uri = None
    if judgement.suite is not None:
        name = layout.validation(definition.name, table, key, content, evidence)
        results_uri = store.write(name, judgement.suite.json.encode())
        data_docs.keep(store, name, judgement.suite.json, _heading(definition, partition, judgement))
    rejected = judgement.rows_rejected if judgement.accepted else judgement.rows or 0
    if judgement.accepted and judgement.frame is not None:
        columns = definition.feed.tables[table].columns
        data = to_parquet(judgement.frame, columns)
        name = gather_past.profile_name(partition, suite_hash)
        found = judged_before.profile_of(definition, table, judgement.frame)
        store.write(name, found.to_json().encode())
        clean_uri = store.write(layout.clean(definition.name, table, key, content, suite_hash), data)
        if judgement.rejected is not None:
            rejected_uri = store.write(quarantine.rejected_name(partition, suite_hash), as_file(judgement.rejected))
    else:
        store.write(quarantine.sample_name(partition, evidence), quarantine.sample_json(partition, judgement).encode())
    return Verdict(
        partition_version_id=partition.id,
        suite_hash=suite_hash,
        outcome=ACCEPTED if judgement.accepted else QUARANTINED,
        reason=judgement.reason,
        failures=[failure.to_json() for failure in judgement.failures],
        results_uri=results_uri,
        clean_uri=clean_uri,
        rejected_uri=rejected_uri,
        rows_accepted=(judgement.rows or 0) - rejected,
        rows_rejected=rejected,
    )


def _heading(definition: ModelDefinition, partition: PartitionVersion, judgement: Judgement) -> data_docs.Heading:
    """Of the page about these bytes, which may land again as a later version."""
    return data_docs.Heading(
        title=f"{definition.title}: {partition.table} of {partition.key}",
        outcome=ACCEPTED if judgement.accepted else QUARANTINED,
        reason=judgement.reason,
        facts=[
            ("Model", definition.name),
            ("Rows", f"{judgement.rows or 0:,}"),
            ("Rows kept out", f"{judgement.rows_rejected:,}"),
            ("SHA-256 of the file", partition.content_hash),
        ],
    )


def _record(
    definition: ModelDefinition,
    partition: PartitionVersion,
    verdict: Verdict,
    mail: AlertBody | None,
    settings: Settings,
) -> Verdict:
    """Insert the verdict and write its mail, unless another process has just given the same verdict."""
    lock = ("partition", partition.model, partition.table, partition.key)
    with Ledger.from_settings(settings).lock(*lock) as session:
        latest = latest_verdict(session, partition.id)
        if latest is not None and latest.suite_hash == verdict.suite_hash:
            return latest
        session.add(verdict)
        session.get_one(PartitionVersion, partition.id).rows = partition.rows
        session.flush()
        quarantine_incidents.record(session, definition, partition, verdict, mail)
        lateness.resolve(session, definition, partition, verdict)
    return verdict


def _tell(partition: PartitionVersion, verdict: Verdict, settings: Settings) -> None:
    what = (partition.table, partition.key, partition.version)
    accepted = verdict.outcome == ACCEPTED
    level, word = (logging.INFO, "accepted") if accepted else (logging.WARNING, "QUARANTINED")
    log.log(level, "%s of %s, version %d: %s: %s", *what, word, verdict.reason)
    if verdict.results_uri is not None:
        shown = report(layout.data_docs(verdict.results_uri), settings)
        log.info("Great Expectations, expectation by expectation: %s (its full result: %s)", shown, verdict.results_uri)
    if not accepted:
        log.warning("nothing downstream runs on it; the file is kept as %s, an alert is owed", partition.raw_uri)
        return
    log.info("accepted rows: %s", verdict.clean_uri)
    if verdict.rejected_uri is not None:
        rows = f"{verdict.rows_rejected:,}"
        log.warning("%s bad rows are kept out, each with its reason: %s", rows, verdict.rejected_uri)


def _validated(partition: PartitionVersion, verdict: Verdict, *, new: bool) -> Validated:
    return Validated(
        partition_version_id=partition.id,
        verdict_id=verdict.id,
        model=partition.model,
        table=partition.table,
        key=partition.key,
        version=partition.version,
        outcome=verdict.outcome,
        reason=verdict.reason,
        rows=verdict.rows_accepted,
        rows_rejected=verdict.rows_rejected,
        failures=verdict.failures,
        results_uri=verdict.results_uri,
        clean_uri=verdict.clean_uri,
        rejected_uri=verdict.rejected_uri,
        new=new,
    )
