"""Great Expectations on built features: what fails is not published, and a mail is written."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import incidents, outbox
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import Store, layout
from evergreen.loop.features.feature_code import FeatureCode, feeds_champion
from evergreen.loop.intake.failures import Failure, critical, reason
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.quarantine_incidents import FEATURES, cause
from evergreen.loop.intake.validation import data_docs
from evergreen.loop.intake.validation.isolated import judge_apart
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.loop.intake.validation.suite import run_suite

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("evergreen.features")


def check(
    definition: ModelDefinition, key: PartitionKey, frame: pd.DataFrame, build_hash: str, *, store: Store
) -> tuple[list[Failure], Uri | None]:
    """Run the features suite of the model on `frame`; its critical failures, and the URI of the full result.

    It runs in a process of its own, as that of a landed table does: one that comes to no end has failed, and there is
    no result.
    """
    expectations = load_expectations(definition, "features")

    def judge(one_by_one: bool) -> Judgement:
        found = run_suite(frame, expectations, f"{definition.name}.features", one_by_one=one_by_one)
        return Judgement(found.success, found.reason, found.found, None, found)

    judgement = judge_apart(judge, {}, len(frame), LIMITS, "of these features")
    result, failed = judgement.suite, critical(judgement.failures)
    if result is None:
        log.error("%s %s: features: %s", definition.name, key, judgement.reason)
        return failed, None
    name = layout.validation(definition.name, "features", key, build_hash, result.suite_hash)
    uri = store.write(name, result.json.encode())
    heading = data_docs.Heading(
        title=f"{definition.title}: features of {key}",
        outcome="refused" if failed else "accepted",
        reason=result.reason,
        facts=[("Model", definition.name), ("Rows", f"{len(frame):,}"), ("Build", build_hash)],
    )
    data_docs.keep(store, name, result.json, heading)
    for failure in result.found:
        log.warning("%s %s: features: %s (%s)", definition.name, key, failure.sentence, failure.severity)
    if not failed:
        log.info(
            "%s %s: the features suite accepts %s rows: %d of %d expectations hold",
            definition.name, key, f"{len(frame):,}", result.checked - len(result.found), result.checked,
        )  # fmt: skip
    return failed, uri


def scope(session: Session, code: FeatureCode) -> str:
    """What is built by `code`, in words: the champion's features, or those of other code, which fail and mend apart.

    Whatever is built by the code of today is one, so that a correction of it resolves what was wrong before.
    """
    if feeds_champion(session, code):
        return FEATURES
    return f"{FEATURES} by {'new code' if code.is_today else 'code of an earlier version'}"


def owe_alert(
    session: Session,
    definition: ModelDefinition,
    key: PartitionKey,
    failures: list[Failure],
    *,
    scope: str,
    dedup: str,
    report: Uri | None,
    run_url: str | None,
) -> str:
    """Record why the features of `key` were not published; write the mail if one is due. The reason in a sentence."""
    rows = [[f.column, f.sentence, f.expected] for f in failures]
    body = {
        "headline": f"The features of {key} failed validation and were not published.",
        "summary": f"The inputs of {key} were accepted, but what features.py built from them breaks "
        f"{len(failures)} expectation{'s' if len(failures) > 1 else ''}. Nothing was scored from them; earlier "
        "snapshots are untouched.",
        "table": {"columns": ["Feature", "What is wrong", "Expected"], "rows": rows},
        "next_steps": [
            "Look at the validation, expectation by expectation, linked as the report.",
            "Correct features.py, or the features suite in expectations.py where it asks too much.",
            f"Then clear the task `build` of the DAG {definition.name}.features for {key}.",
        ],
        "links": {"log": run_url, "report": layout.data_docs(report) if report else None},
    }
    incidents.occur(
        session,
        definition.name,
        cause(scope, failures),
        [incidents.Met(f"features:{key}:{dedup}", key, reason(failures), run_url=run_url)],
        subject="features failed validation, not published",
        body=outbox.AlertBody.model_validate(body),
        owe=partial(outbox.owe, session, definition),
    )
    return reason(failures)


def tell_built(session: Session, definition: ModelDefinition, key: PartitionKey, version: int, *, scope: str) -> None:
    """Record that the features of `key` were published, which resolves what was told about them."""
    incidents.well(
        session, definition.name, "quarantine", scope,
        part=key, key=key, how=f"published as version {version}", owe=partial(outbox.owe, session, definition),
    )  # fmt: skip
