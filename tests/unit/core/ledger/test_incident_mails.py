"""What mails about an incident say."""

import datetime as dt

from evergreen.core.ledger.incident_mails import all_clear, first, grown
from evergreen.core.ledger.outbox import AlertBody, Links
from evergreen.core.ledger.tables import Incident, Occurrence
from evergreen.loop.alerts.render import render

AT = dt.datetime(2026, 11, 30, 8, 15, tzinfo=dt.UTC)
BODY = AlertBody(headline="h", summary="It is broken.", next_steps=["Look."], links=Links(log="http://a/newest"))


def incident(**more):
    return Incident(**{
        "id": 7, "model": "shop", "kind": "quarantine", "scope": "inputs", "cause": "0123456789ab",
        "what": "inputs quarantined for price", "reopened": 0, "opened_at": AT, "last_at": AT, "partitions": 12,
        "told": 1, "mails": 1, **more,
    })  # fmt: skip


def met(
    count, resolved=0, url="http://airflow.example.com/dags/shop.ingest_inputs/runs/scheduled__2026/tasks/validate"
):
    return [
        Occurrence(
            id=n, part=f"2026-11-{n:02}", key=f"2026-11-{n:02}", said="price is missing", run_url=url, at=AT,
            resolved_at=AT if n <= resolved else None, how="accepted as version 2" if n <= resolved else None,
        )
        for n in range(1, count + 1)
    ]  # fmt: skip


def shown(subject, body):
    return render(kind="quarantine", model="shop", key=None, subject=subject, body=body, alert_id="x")


def test_the_first_is_the_stages_own_mail_and_names_the_incident():
    subject, body = first(incident(), None, "inputs quarantined", BODY)
    assert (subject, body.summary) == ("inputs quarantined", BODY.summary)
    assert dict(body.facts) == {"Incident": "7, cause 0123456789ab"}


def test_one_that_is_back_says_so():
    subject, body = first(incident(), incident(id=3, closed_at=AT, partitions=1), "inputs quarantined", BODY)
    assert subject == "again: inputs quarantined"
    assert "over since 2026-11-30 08:15 UTC (incident 3, 1 partition) and is back" in body.summary


def test_the_next_lists_all_that_it_concerns_with_logs_that_can_be_opened():
    subject, body = grown(incident(), met(12, resolved=2), "inputs quarantined", BODY)
    assert subject == "12 partitions, one cause: inputs quarantined for price"
    assert "10 of them are not resolved" in body.summary
    assert "until there are 100" in body.summary
    assert [row[0] for row in body.table.rows][-2:] == ["2026-11-01", "2026-11-02"], "what is resolved comes last"
    mail = shown(subject, body)
    assert mail.text.count(met(1)[0].run_url) == 12, "an address is never broken"
    assert mail.html.count(f'href="{met(1)[0].run_url}"') == 12


def test_an_address_that_is_none_is_not_linked():
    _, body = grown(incident(), met(1, url="javascript:alert(1)"), "s", BODY)
    assert "javascript" not in shown("s", body).html


def test_a_column_of_that_name_is_needed_for_a_link():
    _, body = grown(incident(), met(1), "s", BODY)
    rows = [["http://evil.example.com", *row[1:]] for row in body.table.rows]
    table = body.table.model_copy(update={"rows": rows})
    assert 'href="http://evil' not in shown("s", body.model_copy(update={"table": table})).html


def test_the_all_clear_says_what_is_left():
    subject, body = all_clear(incident(well="2026-12-01 came through well after them"), met(12, resolved=10), None)
    assert subject == "all clear: inputs quarantined for price"
    assert "2 partitions of it still need a person" in body.summary
    assert "replay-quarantine" in body.next_steps[0]
    _, done = all_clear(incident(well="all of it is resolved"), met(12, resolved=12), ("other", BODY))
    assert done.next_steps == ["Nothing."]


def test_of_one_partition_the_stage_has_the_last_word():
    single = ("late inputs have arrived", BODY)
    assert all_clear(incident(partitions=1, well="x"), met(1, resolved=1), single)[0] == "late inputs have arrived"
    assert all_clear(incident(partitions=1, well="x"), met(1), single)[0].startswith("all clear")
