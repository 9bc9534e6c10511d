"""Great Expectations on built features: what fails is not published, and a mail is owed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from evergreen.definition import ModelDefinition
from evergreen.intake import data_docs
from evergreen.intake.expectations import load_expectations
from evergreen.intake.failures import Failure, critical, reason
from evergreen.intake.suite import run_suite
from evergreen.ledger import outbox
from evergreen.store import Store, layout

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("evergreen.features")


def check(
    definition: ModelDefinition, key: str, frame: pd.DataFrame, build_hash: str, *, store: Store
) -> tuple[list[Failure], str]:
    """Run the features suite of the model on `frame`; its critical failures, and the URI of the full result."""
    result = run_suite(frame, load_expectations(definition, "features"), f"{definition.name}.features")
    name = layout.validation(definition.name, "features", key, build_hash, result.suite_hash)
    uri = store.write(name, result.json.encode())
    failed = critical(result.found)
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


def owe_alert(
    session: Session,
    definition: ModelDefinition,
    key: str,
    failures: list[Failure],
    *,
    dedup: str,
    report: str,
    run_url: str | None,
) -> str:
    """Owe the mail that says why the features of `key` were not published; the reason in one sentence."""
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
        "links": {"log": run_url, "report": layout.data_docs(report)},
    }
    outbox.owe(
        session,
        definition,
        kind="quarantine",
        key=key,
        dedup_key=f"features:{key}:{dedup}",
        subject="features failed validation, not published",
        body=body,
    )
    return reason(failures)
