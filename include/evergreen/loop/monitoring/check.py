"""Check one partition in production: drift, realised loss, a decision, a report, and the mail to send."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import pandas as pd
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger, outbox
from evergreen.core.ledger.outbox import Links
from evergreen.core.ledger.queries import decisions
from evergreen.core.ledger.tables import Decision, DriftCheck
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import Store, layout
from evergreen.core.store.page_links import version_page
from evergreen.core.values import MonitorDecision
from evergreen.loop.features.feature_code import of_version
from evergreen.loop.intake.labels import coverage
from evergreen.loop.monitoring import evidence, load_rows, policy
from evergreen.loop.monitoring.class_changes import class_changes
from evergreen.loop.monitoring.drift import detect
from evergreen.loop.monitoring.drift.detect import ColumnDrift, DriftResult
from evergreen.loop.monitoring.evidence import Evidence
from evergreen.loop.monitoring.findings import Findings
from evergreen.loop.monitoring.label_bias import review_biases
from evergreen.loop.monitoring.load_rows import Frames
from evergreen.loop.monitoring.loss import harm_test
from evergreen.loop.monitoring.loss.estimated import learn
from evergreen.loop.monitoring.loss.harm_test import HarmResult
from evergreen.loop.monitoring.loss.realised import Unmeasured, clusters_of, losses_by_cluster, measure
from evergreen.loop.monitoring.online_agreement import measure_online
from evergreen.loop.monitoring.report import mail, page
from evergreen.loop.monitoring.rivals.compare import Rivals, compare_with_rivals
from evergreen.loop.monitoring.telling import matter, past
from evergreen.loop.monitoring.telling.past import Past
from evergreen.loop.monitoring.telling.weigh import Weighed, weigh
from evergreen.loop.training.losses import title
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")


@dataclass(frozen=True)
class Checked:
    """What was decided about one partition."""

    drift_check_id: int
    decision_id: int
    kind: MonitorDecision
    cause: str | None
    cause_key: str | None
    reason: str
    report_uri: Uri | None
    as_of: PartitionKey
    """Newest partition whose labels a retrain may use"""
    drifted_columns: list[str]
    loss: float | None
    """Realised loss of the champion's newest labelled partition"""


def run(definition: ModelDefinition, key: PartitionKey, *, settings: Settings, run_url: str | None = None) -> Checked:
    """Check the predictions of `key` and decide; run again on the same data, find what was decided.

    Only labels of partitions through `key - label_delay` count, those that had landed when `key` was due: a backfill
    decides as it would have then; and of these only the complete ones. Check, decision and mail are written in one
    transaction.

    Raises:
        NotReadyError: the partition has no predictions.
        UnavailableError: the ledger, the store or the feature remotes do not answer.
    """
    through = definition.partitions.shift(key, -definition.feed.label_delay)
    coverage.review(definition, settings=settings)
    biases = review_biases(definition, settings=settings, up_to_key=through)
    _, left = measure(definition, settings=settings, up_to_key=through)
    measure_online(definition, settings=settings)
    evidence.feed_reference(definition, key, settings=settings)
    with Ledger.from_settings(settings).lock("monitor", definition.name) as session:
        known = evidence.gather(session, definition, key)
        done = decisions.drift_check(session, definition.name, key, known.input_hash)
        if done is not None:
            return _found(session, done, known)
        started = time.monotonic()
        # What the champion reads is what is compared, whatever today's code makes of the rows.
        fed = of_version(session, definition, known.version).definition
        rows = load_rows.read(fed, known, settings)
        rivals = compare_with_rivals(session, definition, known, settings=settings)
        before = past.read(session, fed, known, settings)
        found = examine(load_rows.comparable(fed, rows), known, rows, rivals, before, left)
        newest = tuple(said for k, said in biases.items() if k > known.as_of)[-1:]  # each was said when it was new
        found = replace(found, held=known.held, one_sided=newest)
        uri = _write_report(fed, found, rows, known, settings)
        checked = _record(session, fed, known, found, uri, settings, run_url)
    _tell(found, uri, time.monotonic() - started)
    return checked


def examine(
    definition: ModelDefinition,
    known: Evidence,
    rows: Frames,
    rivals: Rivals,
    before: Past,
    unmeasured: Sequence[Unmeasured] = (),
) -> Findings:
    """Compare, judge and decide. The same evidence gives the same findings; no I/O, but to load a champion on drift."""
    settings = definition.monitoring
    moved = detect.check(rows.compared, rows.current, definition, current_rows=rows.current_rows)
    label = None
    if rows.labelled is not None and len(rows.labelled):
        label = detect.check_target(rows.reference, rows.labelled, definition)
    held_out = load_rows.holdout(rows.reference)
    holdout_losses = losses_by_cluster(definition, held_out)
    judged = harm_test.judge(
        holdout_losses,
        [harm_test.Batch(p.key, clusters_of(p)) for p in known.own_losses],
        alpha=settings.harm_alpha,
        margin=settings.harm_margin,
    )
    learned = learn(definition, held_out)
    estimate = learned.estimate(rows.current) if learned is not None else None
    weighed = weigh(definition, known, rows, moved, estimate, holdout_losses, before, learned)
    signals = _signals(definition, known, rivals, moved, label, judged, weighed)
    return Findings(
        key=known.key,
        version=known.version,
        as_of=known.as_of,
        labels_through=known.labels_through,
        reference=_reference_in_words(rows.reference, known),
        drift=moved,
        label=label,
        label_key=known.labelled.key if known.labelled else None,
        harm=judged,
        estimate=estimate,
        rivals=rivals,
        loss=known.own_losses[-1] if known.own_losses else None,
        signals=signals,
        decision=policy.decide(signals, evidence.past_checks(definition, known), settings),
        unmeasured=tuple(unmeasured),
        classes=class_changes(rows.labelled, rows.reference) if definition.task == "multiclass" else (),
        weighed=weighed,
        loss_title=title(definition),
        period=definition.calendar.period,
    )


def _signals(
    definition: ModelDefinition,
    known: Evidence,
    rivals: Rivals,
    moved: DriftResult,
    label: ColumnDrift | None,
    judged: HarmResult,
    weighed: Weighed,
) -> policy.Signals:
    """What the policy decides on."""
    bad = weighed.bad
    return policy.Signals(
        version=known.version,
        serving=known.serving.version,
        age=evidence.age(definition, known),
        new_rows=known.new_rows,
        drifted=moved.drifted_columns,
        effects=moved.drifted_effects,
        prediction_drifted=bool(moved.prediction and moved.prediction.drifted),
        label_drifted=bool(label and label.drifted),
        judged=judged.partitions > 0,
        harmed=judged.proven,
        before=rivals.before.version if rivals.before else None,
        served=len(known.own_losses),
        regretted=bool(rivals.before and rivals.before.found.proven),
        challenger=rivals.challenger.version if rivals.challenger else None,
        surpassed=bool(rivals.challenger and rivals.challenger.found.proven),
        comeback=rivals.comeback,
        approval=definition.gate.approval != "never",
        held=len(known.held),
        new_code=known.new_code,
        bad=bad.key if bad else None,
        bad_version=bad.version if bad else None,
        rise=bad.rise if bad else 0.0,
        costly=weighed.costly,
        faults=tuple(step.name for step in weighed.steps),
        pace=known.pace,
    )


def _reference_in_words(reference: pd.DataFrame, known: Evidence) -> str:
    if known.compared_snapshots:
        return f"{known.compared.sentence}, as version {known.version} predicts them"
    held_out = len(load_rows.holdout(reference))
    said = (
        f"what version {known.version} was made of (labels through {known.as_of}): "
        f"{len(reference) - held_out:,} rows it was trained and {held_out:,} rows it was judged on"
    )
    return f"{said}; {known.compared.sentence}" if known.compared.sentence else said


def _write_report(
    definition: ModelDefinition, found: Findings, rows: Frames, known: Evidence, settings: Settings
) -> Uri:
    heading = page.Heading(
        title=f"{definition.title}: check of {found.key}",
        headline=matter.subject(found.seen),
        decision=found.reason,
        sentences=found.sentences,
        facts=tuple(mail.facts(definition, found)),
    )
    html = page.render(heading, found.drift, found.weighed, rows.compared, rows.current)
    name = layout.report(definition.name, found.key, f"drift-{known.input_hash[:16]}.html")
    return Store.from_settings(settings).write(name, html)


def _record(
    session: Session,
    definition: ModelDefinition,
    known: Evidence,
    found: Findings,
    uri: Uri,
    settings: Settings,
    run_url: str | None,
) -> Checked:
    """Check, decision and unsent mail, in the session's transaction."""
    check = DriftCheck(
        model=definition.name,
        key=found.key,
        input_hash=known.input_hash,
        prediction_id=known.prediction.id,
        version=found.version,
        reference=found.reference,
        drifted=found.drift.drifted,
        results=found.results,
        report_uri=uri,
        run_url=run_url,
    )
    session.add(check)
    session.flush()
    decision = decisions.record(
        session,
        model=definition.name,
        kind=found.decision.kind,
        key=found.key,
        dedup_key=_dedup_key(found.key, known),
        reason=found.reason,
        evidence=found.evidence | {"drift_check_id": check.id},
        version=found.decision.version,
        decided_by="policy",
        run_url=run_url,
    )
    if matter.is_told(found.decision):
        links = Links(report=uri, log=run_url, model=version_page(settings, definition.name, found.version))
        outbox.owe(
            session,
            definition,
            kind=matter.kind(found.seen),
            key=found.key,
            dedup_key=_dedup_key(found.key, known),
            subject=mail.subject(found),
            body=mail.body(
                definition,
                found,
                losses=list(known.losses.values()),
                deployments=decisions.deployments_through(session, definition.name, found.key),
                links=links,
            ),
        )
    return _checked(check, decision)


def _found(session: Session, check: DriftCheck, known: Evidence) -> Checked:
    decision = decisions.find(session, check.model, _dedup_key(check.key, known))
    if decision is None:
        raise LookupError(f"drift check {check.id} has no decision; both are written in one transaction")
    log.info("%s was checked on this data before. %s Report: %s", check.key, decision.reason, check.report_uri)
    return _checked(check, decision)


def _checked(check: DriftCheck, decision: Decision) -> Checked:
    seen = decision.evidence
    return Checked(
        drift_check_id=check.id,
        decision_id=decision.id,
        kind=cast("MonitorDecision", decision.kind),
        cause=seen["cause"],
        cause_key=seen["cause_key"],
        reason=decision.reason,
        report_uri=check.report_uri,
        as_of=seen["as_of"],
        drifted_columns=list(seen["drifted"]),
        loss=seen["loss"],
    )


def _dedup_key(key: PartitionKey, known: Evidence) -> str:
    return f"{decisions.MONITOR}{key}:{known.input_hash[:16]}"


def _tell(found: Findings, uri: Uri, seconds: float) -> None:
    """The check, as a report in the task's log."""
    log.info(
        "%s: %s rows predicted by version %s, compared with %s (%.1f s)",
        found.key, f"{found.drift.current_rows:,}", found.version, found.reference, seconds,
    )  # fmt: skip
    log.info("First: %s", matter.subject(found.seen))
    log.info("Inputs: %s", found.drift.sentence)
    impacts = {one.name: one.sentence for one in found.weighed.impacts}
    for column in found.ranked:
        if column.drifted:
            log.info("  %s%s", column.sentence, f" It {impacts[column.name]}." if column.name in impacts else "")
    log.info("%s", found.label_sentence or "No labels of this champion's predictions have landed yet.")
    log.info("Loss: %s", found.harm.sentence)
    for sentence in (*found.classes, *found.one_sided, *([found.held_sentence] if found.held_sentence else [])):
        log.warning("Labels: %s", sentence)
    if found.choices_sentence:
        log.info("Choices: %s", found.choices_sentence)
    if found.estimate:
        log.info("Loss: %s", found.estimate.sentence)
    for passed_over in found.unmeasured:
        log.warning("Loss: %s", passed_over.sentence)
    for rival in found.rivals.all:
        log.info("Rival: %s", rival.sentence)
    log.info("Decision: %s", found.reason)
    log.info("Report: %s", uri)
