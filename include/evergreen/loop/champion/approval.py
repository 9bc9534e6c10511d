"""What a person is shown who decides on a challenger: the evidence for the form, and the mail that links to it."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.outbox import owe
from evergreen.core.ledger.tables import Comparison, TrainingRun
from evergreen.loop.training.losses import title
from evergreen.loop.training.outcomes import sentence
from evergreen.loop.training.tracking import Registry
from evergreen.settings import Settings

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
_AUTOLINK = re.compile(r"(?=://|@)|(?<=www)(?=\.)", re.IGNORECASE)
"""Where GitHub's Markdown, which Airflow shows, would begin to make links of plain addresses"""
_JOINER = "\u2060"
"""A word joiner: it has no width, and ends what looks like an address"""


def form(definition: ModelDefinition, run: TrainingRun, comparison: Comparison) -> str:
    """The evidence as Markdown. Values of the data are escaped: they may come from a hostile file. Pure."""
    rows = [f"**{unformatted(label)}:** {unformatted(value)}" for label, value in facts(definition, run, comparison)]
    answers = [
        f"- **{guard['name']}** {guard['state'].replace('_', ' ')}: {unformatted(guard['sentence'])}"
        for guard in comparison.guards
    ]
    said = unformatted(str(comparison.result["reason"]))
    parts = [f"{said}.", "  \n".join(rows), "Guards:\n\n" + "\n".join(answers), _silence(definition, comparison)]
    return "\n\n".join(parts)


def facts(definition: ModelDefinition, run: TrainingRun, comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared with what, and on which partitions."""
    found, loosened = comparison.result, comparison.result.get("loosened")
    trained = run.dataset["train_keys"]
    facts = [
        ("Challenger", f"version {comparison.challenger_version}, {run.candidate}"),
        ("Compared with", rival(comparison)),
        ("Judged on", ", ".join(comparison.keys) or "nothing"),
        ("Trained on", f"{trained[0]} to {trained[-1]}"),
        ("Trained because of", f"{run.cause}: {run.reason}"),
        (title(definition), f"{found['challenger_loss']:.4g}, before {found['champion_loss']:.4g}"),
    ]
    facts += _decided(found.get("decisions", {}))
    return [*facts, ("Gate loosened by model.yaml", ", ".join(loosened))] if loosened else facts


def _decided(decisions: dict[str, Any]) -> list[tuple[str, str]]:
    """What the choices of both came to, if the definition has a `decision`."""
    return [(f"Choices of the {name}", sentence(decisions[name])) for name in ("challenger", "champion") if decisions]


def rival(comparison: Comparison) -> str:
    """Name of what the challenger was compared with."""
    return f"version {comparison.champion_version}" if comparison.champion_version else "the base rate"


def owe_mail(
    session: Session,
    definition: ModelDefinition,
    run: TrainingRun,
    comparison: Comparison,
    *,
    settings: Settings,
    form_url: str | None,
    run_url: str | None,
) -> None:
    """Write the mail that asks for the answer, in the transaction that records the gate's question."""
    version = comparison.challenger_version
    owe(
        session,
        definition,
        kind="approval",
        key=run.as_of,
        dedup_key=f"approval:{run.id}",
        subject=f"version {version} waits for your answer",
        body={
            "headline": f"Challenger version {version} waits for a person to promote or refuse it.",
            "summary": f"{comparison.result['reason']}.",
            "facts": facts(definition, run, comparison),
            "table": guard_table(comparison),
            "chart": chart(definition, run, comparison),
            "next_steps": [
                f"Answer in the form (linked below), or in Airflow: {definition.name}.train, task approve.",
                _silence(definition, comparison),
            ],
            "links": {"form": form_url, "log": run_url, "model": Registry(settings, definition.name).url(version)},
        },
    )


def guard_table(comparison: Comparison) -> dict[str, Any]:
    """The guards' answers, for a mail."""
    return {
        "columns": ["guard", "answer", "what it saw"],
        "rows": [[g["name"], g["state"].replace("_", " "), g["sentence"]] for g in comparison.guards],
    }


def chart(definition: ModelDefinition, run: TrainingRun, comparison: Comparison) -> dict[str, Any] | None:
    """Loss of both by day, for a mail."""
    days = comparison.result.get("by_cluster") or []
    if not days:
        return None
    said = title(definition)
    return {
        "title": f"{said} by day on the held-out partitions",
        "kind": "line",
        "x": [day[0] for day in days],
        "series": [
            {"name": rival(comparison), "values": [day[2] for day in days]},
            {"name": f"version {run.version}", "values": [day[3] for day in days]},
        ],
        "y_label": said,
        "marks": [],
    }


def _silence(definition: ModelDefinition, comparison: Comparison) -> str:
    hours = definition.gate.approval_timeout.total_seconds() / 3600
    meanwhile = "the champion serves" if comparison.champion_version is not None else "nothing is predicted"
    return f"No answer within {hours:,.4g} hours refuses; {meanwhile} meanwhile."


def unformatted(text: str) -> str:
    """`text` that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", _AUTOLINK.sub(_JOINER, " ".join(text.split())))
