"""What a body may hold: anything a hostile file says, made fit for PostgreSQL's JSON and for one line of a header."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evergreen.core.ledger.outbox import MAX_TEXT, AlertBody, Chart, Table, subject_line

ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_becomes_storable_json(headline, cell):
    body = AlertBody(headline=headline, summary="s", table=Table(columns=["c"], rows=[[cell]]))
    stored = json.dumps(body.model_dump(mode="json"), ensure_ascii=False).encode()  # fails on lone surrogates
    assert b"\x00" not in stored
    assert "\\u0000" not in stored.decode()
    assert AlertBody.model_validate(json.loads(stored)) == body


@given(ANY_TEXT)
def test_a_subject_is_one_short_line(what):
    line = subject_line("nyc_flights", "2013-04-15", what)
    assert line.startswith("[evergreen] nyc_flights 2013-04-15:")
    assert len(line.splitlines()) == 1
    assert len(line) <= 180


def test_a_subject_without_a_partition_names_the_model_only():
    assert subject_line("nyc_flights", None, "late feed") == "[evergreen] nyc_flights: late feed"


def test_numbers_are_put_into_words():
    table = Table(columns=["n"], rows=[[1234567, 0.123456, True, None, 1e-12, 123456.7]])
    assert table.rows == [["1,234,567", "0.1235", "yes", "", "1e-12", "123,457"]]


def test_long_text_is_cut():
    body = AlertBody(headline="x" * 10_000_000, summary="s")
    assert len(body.headline) == MAX_TEXT


def test_a_chart_has_gaps_where_there_is_no_number():
    chart = Chart(title="t", x=["a", "b", "c"], series=[{"name": "s", "values": [1, float("nan"), float("-inf")]}])
    assert chart.series[0].values == [1.0, None, None]


def test_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="next_step"):
        AlertBody.model_validate({"headline": "h", "summary": "s", "next_step": ["typing error"]})
