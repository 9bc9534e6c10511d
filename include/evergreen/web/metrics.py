"""Metrics of all models for Prometheus, read from the ledger when they are asked for.

The ledger is the truth (docs/decisions/001): what is counted here is what `evergreen history` tells, so that a
restarted process loses no counter and two api-servers show the same. Airflow's own metrics (task times, queues) come
from its StatsD or OpenTelemetry exporter; see docs/metrics.md.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.core.ledger.queries import totals
from evergreen.core.ledger.queries.totals import Newest, Totals
from evergreen.core.ledger.session import Ledger
from evergreen.errors import DefinitionError, EvergreenError
from evergreen.settings import Settings
from evergreen.web.render import SAFE_HEADERS

log = logging.getLogger("evergreen.pages")

HEADERS = {**SAFE_HEADERS, "Content-Security-Policy": "default-src 'none'; frame-ancestors 'self'"}
VARIABLE = "EVERGREEN_METRICS_TOKEN"
"""Variable of the api-server with the token that a scraper must send; without it there are no metrics."""


def answer(settings: Settings, authorization: str, token: str | None) -> Response:
    """The answer to a scraper, which cannot log in to Airflow as people do: it sends a token of its own.

    Args:
        settings: where the ledger is.
        authorization: the header of that name.
        token: what it must hold after `Bearer `; None refuses everybody.
    """
    if not token or not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
        said = "Send 'Authorization: Bearer TOKEN' with the token" if token else "Metrics are off: set a token"
        return PlainTextResponse(f"You are not logged in. {said} in {VARIABLE} of the api-server.\n", 401, HEADERS)
    try:
        return Response(exposition(settings), media_type=CONTENT_TYPE_LATEST, headers=HEADERS)
    except EvergreenError as error:
        log.error("metrics could not be read: %s", error)
        return PlainTextResponse(f"{error}\n", 503, HEADERS)


def exposition(settings: Settings) -> bytes:
    """All metrics in Prometheus's text format.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    begun = time.perf_counter()
    with Ledger.from_settings(settings).transaction() as session:
        found = totals.read(session)
        families = list(_families(found, settings))
    seconds = GaugeMetricFamily("evergreen_metrics_read_seconds", "Time that reading these metrics took.")
    seconds.add_metric([], time.perf_counter() - begun)
    airflow = GaugeMetricFamily("evergreen_airflow_info", "Where Airflow's pages are, for links.", labels=["url"])
    airflow.add_metric([settings.airflow_url], 1)
    registry = CollectorRegistry()
    registry.register(_Collected([*families, seconds, airflow]))
    return generate_latest(registry)


class _Collected:
    """Families that are there already, as the registry wants them."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families

    def describe(self) -> list[Metric]:
        return []


def _families(found: Totals, settings: Settings) -> Iterator[Metric]:
    # What is not there yet is zero and not absent: a rule sees a rise only from a value to a value.
    tables = {(model, table) for model, table, _ in found.partitions}
    outcomes: dict[tuple[str, ...], int] = {
        (*named, outcome): 0 for named in tables for outcome in ("accepted", "quarantined", "unjudged")
    }
    yield _counts(
        "partitions", "Partitions by the verdict on their newest version.", ("table", "outcome"),
        outcomes | found.partitions,
    )  # fmt: skip
    accepted = {name: rows[0] for name, rows in found.rows.items()}
    rejected = {name: rows[1] for name, rows in found.rows.items()}
    yield _counts("rows_accepted", "Accepted rows of the newest versions.", ("table",), accepted)
    yield _counts("rows_quarantined", "Rows of the newest versions that are in quarantine.", ("table",), rejected)
    yield _counts("verdicts", "Verdicts given.", ("table", "outcome"), found.verdicts, total=True)
    yield _counts("feature_partitions", "Partitions with features.", (), found.snapshots)
    yield _counts("prediction_partitions", "Partitions with predictions.", (), found.predictions)
    yield _counts("unscored_partitions", "Partitions a champion should have scored and has not.", (), found.unscored)
    yield _counts("checked_partitions", "Partitions that were checked for drift.", (), found.checks)
    yield _counts("decisions", "Decisions made.", ("kind",), found.decisions, total=True)
    yield _counts("training_runs", "Training runs by what came of them.", ("cause", "state"), found.trainings)
    failed = {(model,): 0 for model in list_models(settings.models_dir)}
    for (model, _, state), runs in found.trainings.items():
        failed[model,] = failed.get((model,), 0) + (runs if state == "failed" else 0)
    yield _counts("trainings_failed", "Training runs that stand failed.", (), failed)
    yield _counts("alerts", "Mails owed so far.", ("kind",), found.alerts, total=True)
    yield _counts(
        "label_coverage", "Share of the inputs of the newest labelled partition that have a label.", (), found.coverage
    )
    yield _counts(
        "labels_held_partitions", "Partitions whose labels are held back, or one-sided.", ("cause",), found.labels_held
    )
    yield from _outbox(found)
    yield _counts("incidents_open", "Causes of trouble that are not over.", ("kind",), found.incidents)
    yield from _champions(found.newest)
    yield from _monitoring(found.newest)
    yield from _online(found.newest)
    yield from _definitions(found, settings)


def _counts(
    name: str, help_: str, labels: tuple[str, ...], values: Mapping[Any, float], *, total: bool = False
) -> Metric:
    kind = CounterMetricFamily if total else GaugeMetricFamily
    family = kind(f"evergreen_{name}", help_, labels=["model", *labels])
    for labelled, value in sorted(values.items()):
        family.add_metric(list(labelled), value)
    return family


def _outbox(found: Totals) -> Iterator[Metric]:
    models = {name for name, _ in found.alerts}
    unsent = {(model,): found.unsent[model][0] if model in found.unsent else 0 for model in models}
    yield _counts("alerts_unsent", "Mails that are still owed.", (), unsent)
    oldest = {(model,): since.timestamp() for model, (_, since) in found.unsent.items()}
    yield _counts("alerts_unsent_since_seconds", "When the oldest mail that is still owed was written.", (), oldest)


def _champions(newest: Mapping[str, Newest]) -> Iterator[Metric]:
    serving = {(m,): n.champion for m, n in newest.items() if n.champion}
    yield _counts("champion_version", "Version that serves.", (), {k: c.version for k, c in serving.items()})
    yield _counts(
        "champion_served_from_seconds", "When it began to serve.", (),
        {k: c.served_from.timestamp() for k, c in serving.items()},
    )  # fmt: skip


def _monitoring(newest: Mapping[str, Newest]) -> Iterator[Metric]:
    checks = {m: n.check for m, n in newest.items() if n.check}
    yield _counts(
        "check_seconds", "When the newest partition was checked.", (),
        {(m,): c.created_at.timestamp() for m, c in checks.items()},
    )  # fmt: skip
    yield _counts(
        "drift_detected", "Whether the inputs of the newest checked partition have drifted.", (),
        {(m,): int(c.drifted) for m, c in checks.items()},
    )  # fmt: skip
    columns = {(m, str(c["name"])): c for m, check in checks.items() for c in check.results.get("columns", [])}
    yield _counts("drift_effect", "Effect size of each column's drift.", ("column",), _of(columns, "effect"))
    yield _counts("column_drifted", "Whether the column has drifted.", ("column",), _of(columns, "drifted"))
    losses = {(m,): n.performance for m, n in newest.items() if n.performance}
    yield _counts(
        "realised_loss", "Mean loss on the newest labelled partition.", (), {k: p.loss for k, p in losses.items()}
    )
    yield from _decisions(losses)
    estimates = {(m,): c.results.get("estimate") or {} for m, c in checks.items()}
    yield _counts(
        "estimated_loss", "Loss estimated for the newest checked partition, before its labels.", (),
        {k: e["loss"] for k, e in estimates.items() if "loss" in e},
    )  # fmt: skip
    harm = {(m,): c.results.get("performance") or {} for m, c in checks.items()}
    rise = {k: h["relative_rise"] for k, h in harm.items() if isinstance(h.get("relative_rise"), int | float)}
    yield _counts("loss_rise", "Rise of the champion's loss since its promotion, relative to it.", (), rise)


def _decisions(losses: Mapping[tuple[str], Any]) -> Iterator[Metric]:
    """What choices came to, of models with a `decision`; a rate that is undefined is left out."""
    found = {key: row.metrics["decision"] for key, row in losses.items() if "decision" in row.metrics}
    words = {
        "precision": "Right ones among the chosen",
        "recall": "Chosen ones among the positives",
        "money": "What the choices cost, in the definition's unit",
        "avoidable": "What the right choices would have saved, in the definition's unit",
    }
    for name, said in words.items():
        values = {key: float(one[name]) for key, one in found.items() if one.get(name) is not None}
        yield _counts(f"decision_{name}", f"{said}, on the newest labelled partition.", (), values)


def _online(newest: Mapping[str, Newest]) -> Iterator[Metric]:
    lost = {(m,): n.online_loss.loss for m, n in newest.items() if n.online_loss and n.online_loss.loss is not None}
    yield _counts(
        "online_realised_loss", "Mean loss of predictions on request, on the newest partition with labels.", (), lost
    )
    compared = {(m,): n.online_compared for m, n in newest.items() if n.online_compared}
    yield _counts(
        "online_differing_share", "Share of rows that the batch, by the same version, predicts otherwise.", (),
        {k: row.differing / row.compared for k, row in compared.items()},
    )  # fmt: skip


def _of(columns: Mapping[tuple[str, str], Any], name: str) -> dict[tuple[str, ...], float]:
    return {key: float(column[name]) for key, column in columns.items() if column.get(name) is not None}


def _definitions(found: Totals, settings: Settings) -> Iterator[Metric]:
    """What needs each model's calendar: ages; and whether its definition can be read at all."""
    readable, ages, newest, late, periods, limits = {}, {}, {}, {}, {}, {}
    for model in list_models(settings.models_dir):
        try:
            definition = load_definition(model, settings.models_dir)
        except DefinitionError:
            readable[(model,)] = 0.0
            continue
        readable[(model,)] = 1.0
        calendar = definition.partitions
        first = calendar.period(calendar.first_key)
        periods[(model,)] = (first.end - first.start).total_seconds()
        limits[(model,)] = float(definition.monitoring.max_age)
        for table in definition.feed.tables:
            if key := found.newest_keys.get((model, table)):
                newest[model, table] = datetime.timestamp(calendar.period(key).start)
            # A model of which nothing has landed yet has not begun: no feed of it can have stopped.
            if model in found.landed and (since := next_late(definition, table, key)):
                late[model, table] = since.timestamp()
        as_of = found.newest[model].as_of if model in found.newest else None
        if as_of and model in found.landed:
            ages[(model,)] = float(max(0, calendar.distance(as_of, found.landed[model])))
    yield _counts("definition_readable", "Whether model.yaml can be read.", (), readable)
    yield _counts(
        "newest_partition_start_seconds", "Start of the period of the newest accepted partition.", ("table",), newest
    )
    yield _counts(
        "next_partition_late_seconds", "When the partition after the newest accepted one is late.", ("table",), late
    )
    yield _counts(
        "champion_age_partitions", "Partitions landed since the newest label the champion was made from.", (), ages
    )
    yield _counts("champion_max_age_partitions", "Age from which the definition calls it stale.", (), limits)
    yield _counts("period_seconds", "Length of a partition's period.", (), periods)


def next_late(definition: ModelDefinition, table: str, newest: str | None) -> datetime | None:
    """When the partition that is to come next is late: its due time and `feed.grace`; None after the calendar's end.

    Args:
        definition: the model.
        table: of its feed; `labels` come `feed.label_delay` periods later.
        newest: newest accepted partition of the table; None if there is none, so that its first one is waited for.
    """
    calendar = definition.partitions
    key = calendar.shift(newest, 1) if newest else calendar.first_key
    if not calendar.contains(key):
        return None
    return calendar.due(key, definition.feed.label_delay if table == "labels" else 0) + definition.feed.grace
