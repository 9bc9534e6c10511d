"""The outbox: unsent mails, written in the transaction of what they report and sent afterwards.

A stage calls `owe` with the facts; the alerts stage renders and sends them. What a body holds may come from a hostile
file (a column's name, a sample value), so text is made fit for JSON and cut to size here; escaping is the template's.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.alerts import KINDS as KINDS
from evergreen.core.definition.alerts import ChannelSection
from evergreen.core.definition.alerts import Kind as Kind
from evergreen.core.ledger import silences
from evergreen.core.ledger.tables import Alert, Delivery
from evergreen.core.names import PartitionKey

MAX_TEXT = 2000
UNSENT = (Alert.sent_at.is_(None), Alert.silence_id.is_(None))
"""Conditions of a mail that is still to be sent"""
UNDELIVERED = (Delivery.sent_at.is_(None), Delivery.given_up_at.is_(None))
"""Conditions of a message that is still to be given to its channel"""
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _text(value: object) -> str:
    """`value` as text without control, bidi and lone surrogate characters, at most `MAX_TEXT` long."""
    fit = _UNFIT.sub("\N{REPLACEMENT CHARACTER}", value if isinstance(value, str) else _words(value))
    return fit if len(fit) <= MAX_TEXT else fit[: MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: Any) -> float | None:
    """A finite number, or None: a gap in the chart."""
    number = None if value is None else float(value)
    return number if number is not None and math.isfinite(number) else None


Text = Annotated[str, BeforeValidator(_text)]
Number = Annotated[float | None, BeforeValidator(_number)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Series(_Part):
    """One line or set of bars; `values` runs along the chart's `x`, None is a gap."""

    name: Text
    values: list[Number]


class Mark(_Part):
    """A vertical line at the label `x` of the chart's axis, such as a change of the champion."""

    x: Text
    label: Text


class Chart(_Part):
    """What the mail's picture shows."""

    title: Text
    kind: Literal["bars", "line"] = "bars"
    x: list[Text]
    series: list[Series]
    y_label: Text = ""
    marks: list[Mark] = []


class Table(_Part):
    """Rows of cells under column heads; numbers and None are put into words."""

    columns: list[Text]
    rows: list[list[Text]]


class Links(_Part):
    """Where to look next. What is left out is not shown, except `runbook` and `page`, which the sender can fill in.

    `report` may be an object's URI in the store: the mail then links to the page that serves it.
    """

    form: str | None = None
    """Where a person does what the mail asks for"""
    log: str | None = None
    report: str | None = None
    model: str | None = None
    runbook: str | None = None
    page: str | None = None


class AlertBody(_Part):
    """What a mail's template is filled with."""

    headline: Text
    """One sentence: what happened"""
    summary: Text
    """Plain sentences: what moved, by how much, what was decided"""
    facts: list[tuple[Text, Text]] = []
    table: Table | None = None
    chart: Chart | None = None
    next_steps: list[Text] = Field(default=[])
    links: Links = Links()


def sentence(reason: str) -> str:
    """A decision's reason, which others quote within theirs, as a sentence of its own."""
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."


def owe(
    session: Session,
    definition: ModelDefinition,
    *,
    kind: Kind,
    key: PartitionKey | None,
    dedup_key: str,
    subject: str,
    body: AlertBody | Mapping[str, Any],
    cause: str | None = None,
    over: bool = False,
) -> Alert:
    """Write a mail about `definition` to those whom its `alerts` name, in the session's transaction; the mail's row.

    With it, the message is also written for each channel that a route names for its kind.

    `subject` says what happened in a few words ("input drift, retrain started"): the mail's subject line puts
    "[evergreen] <model> <key>:" before it. `dedup_key` is unique within the model: owing the same mail again
    returns the first one's row, unchanged. `cause` is its incident's fingerprint, `over` says that
    this is its all-clear. A mail that a silence covers is recorded and held back; so are messages to channels, but for
    the all-clear of what a channel was told before: it would stay open there for ever.

    Raises:
        pydantic.ValidationError: `body` has unknown or missing fields.
    """
    checked = body if isinstance(body, AlertBody) else AlertBody.model_validate(body)
    return owe_to(
        session,
        definition.name,
        definition.alerts.recipients(kind),
        kind=kind,
        key=key,
        dedup_key=dedup_key,
        subject=subject,
        body=_with_runbook(checked, definition, kind),
        cause=cause,
        over=over,
        channels=definition.alerts.channels_of(kind),
    )


def owe_to(
    session: Session, model: str, recipients: Sequence[str], *, kind: Kind, key: PartitionKey | None, dedup_key: str,
    subject: str, body: AlertBody, cause: str | None = None, over: bool = False,
    channels: Mapping[str, ChannelSection] | None = None,
) -> Alert:  # fmt: skip
    """Owe a mail as `owe` does, where there is no definition to take name and recipients from."""
    name = f"{model}:{dedup_key}"
    silence = silences.covering(session, model, kind, cause, dt.datetime.now(dt.UTC))
    statement = insert(Alert).values(
        id=uuid.uuid4(),
        model=model,
        kind=kind,
        key=key,
        dedup_key=name,
        recipients=list(recipients),
        subject=subject_line(model, key, subject),
        body=body.model_dump(mode="json"),
        attempts=0,
        silence_id=silence.id if silence is not None else None,
    )
    statement = statement.on_conflict_do_nothing(index_elements=["dedup_key"])
    new = session.scalar(statement.returning(Alert.id))
    if new is not None:
        ways = _told_before(session, model, cause) if over and cause is not None else {}
        if silence is None:
            ways |= {name: (way.type, way.secret) for name, way in (channels or {}).items()}
        for channel, (way, secret) in ways.items():
            session.add(
                Delivery(alert_id=new, channel=channel, type=way, secret=secret, cause=cause, over=over, attempts=0)
            )
        session.flush()
    return session.scalars(select(Alert).where(Alert.dedup_key == name)).one()


def _told_before(session: Session, model: str, cause: str) -> dict[str, tuple[str, str]]:
    """Type and secret of the channels whose newest message of `cause` is no all-clear: it is open there."""
    query = select(Delivery).join(Alert, Alert.id == Delivery.alert_id).order_by(Delivery.id)
    query = query.where(Alert.model == model, Delivery.cause == cause, Delivery.given_up_at.is_(None))
    newest = {row.channel: row for row in session.scalars(query)}
    return {channel: (row.type, row.secret) for channel, row in newest.items() if not row.over}


def find(session: Session, model: str, dedup_key: str) -> Alert | None:
    """The mail that was written as `dedup_key`, or None."""
    return session.scalars(select(Alert).where(Alert.dedup_key == f"{model}:{dedup_key}")).one_or_none()


def owed(session: Session, model: str, dedup_keys: Collection[str]) -> set[str]:
    """Those of `dedup_keys` under which a mail was owed already, whether it was sent or not; one query."""
    names = {f"{model}:{key}": key for key in dedup_keys}
    if not names:
        return set()
    return {names[name] for name in session.scalars(select(Alert.dedup_key).where(Alert.dedup_key.in_(list(names))))}


def _with_runbook(body: AlertBody, definition: ModelDefinition, kind: Kind) -> AlertBody:
    """`body`, pointing to the team's own runbooks if the definition names them."""
    base = definition.alerts.runbooks
    if base is None or body.links.runbook is not None:
        return body
    links = body.links.model_copy(update={"runbook": f"{base.rstrip('/')}/{kind}"})
    return body.model_copy(update={"links": links})


def subject_line(model: str, key: PartitionKey | None, what: str) -> str:
    """The mail's subject: '[evergreen] nyc_flights 2013-04-15: input drift, retrain started', on one line."""
    about = f"{model} {key}" if key else model
    line = " ".join(f"[evergreen] {about}: {_text(what)}".split())
    return line if len(line) <= 180 else line[:179] + "\N{HORIZONTAL ELLIPSIS}"


def claim(session: Session, *, passing_over: Collection[uuid.UUID] = ()) -> Alert | None:
    """The next unsent mail, locked until the session's transaction ends; None if there is none.

    Mails that another sender holds and those in `passing_over` are left out. Those with the fewest attempts come
    first, so that one which can never be sent holds up no other.
    """
    query = select(Alert).where(*UNSENT, Alert.id.not_in(passing_over))
    query = query.order_by(Alert.attempts, Alert.created_at, Alert.id).limit(1)
    return session.scalars(query.with_for_update(skip_locked=True)).one_or_none()


def mark_sent(alert: Alert, now: dt.datetime, note: str | None = None) -> None:
    """Record that the server took `alert`; `note` says what was odd about it."""
    alert.attempts += 1
    alert.sent_at = now
    alert.last_error = None if note is None else _text(note)


def mark_failed(alert: Alert, error: str) -> None:
    """Record that `alert` could not be sent, and why; it stays unsent."""
    alert.attempts += 1
    alert.last_error = _text(error)


def count_pending(session: Session, model: str | None = None) -> int:
    """How many mails are due and unsent, of one model or of all."""
    query = select(func.count()).select_from(Alert).where(*UNSENT)
    return session.scalar(query if model is None else query.where(Alert.model == model)) or 0
