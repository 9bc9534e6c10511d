"""Ledger, outbox and mailbox: each message that is due is in the outbox, was sent, and arrived."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path

from evergreen.operations.audit.disagreement import Disagreement, Row
from evergreen.operations.audit.ledger_rows import Rows
from evergreen.operations.audit.partitions import name

AREA = "mails"
DOMAIN = "@alerts.evergreen"
SEND = "Run the DAG evergreen.housekeeping: its task send_owed_mails sends it, or says why the server refuses it."
REPORT = "Report it: what happened and the mail about it are one transaction."


@dataclass(frozen=True)
class Arrived:
    """A mail that the mail catcher keeps."""

    message_id: str
    model: str
    subject: str
    at: dt.datetime


def read_folder(folder: Path) -> list[Arrived]:
    """The mails of the embedded stack's mail catcher, by their heads."""
    found = []
    for path in sorted(folder.glob("*.eml")):
        head = BytesHeaderParser(policy=policy.default).parsebytes(path.read_bytes())
        at = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
        model, subject = str(head["X-Evergreen-Model"] or ""), str(head["Subject"] or "")
        found.append(Arrived(str(head["Message-ID"] or "").strip(), model, subject, at))
    return found


def check(rows: Rows, model: str, arrived: Iterable[Arrived] | None) -> Iterator[Disagreement]:
    """Compare what happened, the outbox and, if there is a mail catcher, what arrived."""
    own = [row for row in rows.alerts if row["model"] == model]
    for alert in own:
        if alert["sent_at"] is None and alert["silence_id"] is None:
            tried = f", {alert['attempts']} tries so far: {alert['last_error']}" if alert["attempts"] else ""
            what = f"it is owed and was not sent{tried}"
            yield Disagreement(AREA, _name(alert), what, SEND, alert["created_at"])
    for message in rows.undelivered_messages:
        tried = f", {message['attempts']} tries so far: {message['last_error']}" if message["attempts"] else ""
        about = f"message to {message['channel']} ({message['subject']})"
        yield Disagreement(AREA, about, f"it is owed and was not given{tried}", SEND, message["created_at"])
    told = {alert["dedup_key"] for alert in own} | rows.told_together
    yield from _owed(rows, {name.removeprefix(f"{model}:") for name in told})
    if arrived is not None:
        yield from _delivered(own, [mail for mail in arrived if mail.model == model])


def twice(rows: Rows, model: str, arrived: Iterable[Arrived]) -> int:
    """How many mails arrived a second time under their Message-ID, which is all that SMTP can promise."""
    seen = Counter(mail.message_id for mail in arrived if mail.model == model)
    return sum(1 for count in seen.values() if count > 1)


def _name(alert: Row) -> str:
    return f"mail {str(alert['id'])[:8]} ({alert['subject']})"


def _owed(rows: Rows, owed: set[str]) -> Iterator[Disagreement]:
    """Each thing that happened and has to be told has its mail, or is on record in an incident that has one."""
    versions = {row["id"]: row for row in rows.partition_versions}
    for verdict in rows.verdicts:
        if verdict["outcome"] == "quarantined" and f"quarantine:{verdict['id']}" not in owed:
            about = name(versions[verdict["partition_version_id"]])
            yield Disagreement(AREA, about, "it was quarantined, and no mail says so", REPORT, verdict["decided_at"])
    deployed = {row["decision_id"] for row in rows.deployments}
    for decision in rows.decisions:
        told = {decision["dedup_key"], f"{decision['kind']}:{decision['id']}"} & owed
        by_gate = decision["dedup_key"].startswith(("gate:", "forced:"))
        must = decision["kind"] in ("alert", "retrain") or by_gate or decision["id"] in deployed
        if must and not told:
            what = f"decision {decision['id']} ({decision['kind']}: {decision['reason'][:120]}) has no mail"
            yield Disagreement(AREA, decision["key"] or "the model", what, REPORT, decision["decided_at"])


def _delivered(own: list[Row], arrived: list[Arrived]) -> Iterator[Disagreement]:
    counts = Counter(mail.message_id for mail in arrived)
    for alert in own:
        count = counts.pop(f"<{alert['id']}{DOMAIN}>", 0)
        if alert["sent_at"] is not None and count == 0:
            fix = "Look for it in the mail server's log; set its sent_at to null to have it sent again."
            yield Disagreement(AREA, _name(alert), "it was sent, and did not arrive", fix, alert["sent_at"])
        if count > 2:
            what = f"it arrived {count} times"
            yield Disagreement(AREA, _name(alert), what, "Report it: a mail is sent twice at worst.", alert["sent_at"])
    for mail in arrived:
        if mail.message_id in counts:
            what = f"it arrived as {mail.message_id}, and the ledger owes no such mail"
            fix = "Report it: the ledger lost what it had promised, or somebody else sends in our name."
            yield Disagreement(AREA, mail.subject, what, fix, mail.at)
