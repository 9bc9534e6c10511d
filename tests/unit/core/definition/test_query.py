"""Bounds of a period in a query: replaced where they are bounds, and nowhere else."""

import pytest
from pydantic import ValidationError

from evergreen.core.definition.query import QuerySection, bounds_in, with_bounds


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 1 WHERE t >= :start AND t < :end;\n", "SELECT 1 WHERE t >= <S> AND t < <E>"),
        ("SELECT ':start', t::text FROM x WHERE t>=:start", "SELECT ':start', t::text FROM x WHERE t>=<S>"),
        ("SELECT 'it''s :end' -- :start\n, :end", "SELECT 'it''s :end' -- :start\n, <E>"),
        ('":start" /* :end */, `:end`, $q$ :start $q$, :start', '":start" /* :end */, `:end`, $q$ :start $q$, <S>'),
        ("SELECT E'it\\'s :end', :start", "SELECT E'it\\'s :end', <S>"),
        ("SELECT 'C:\\', :start, ':end'", "SELECT 'C:\\', <S>, ':end'"),
        ("SELECT a #> ':end', :start", "SELECT a #> ':end', <S>"),
        ("SELECT :start, :end; -- done; :end", "SELECT <S>, <E>"),
        ("SELECT :start, :end /* last */ ;\n;\n-- it's done", "SELECT <S>, <E>"),
        ("SELECT ';', :end -- kept", "SELECT ';', <E> -- kept"),
        ("SELECT x::start, :started, :end_of, a:start", "SELECT x::start, :started, :end_of, a:start"),
    ],
)  # fmt: skip
def test_bounds(query, expected):
    assert with_bounds(query, "<S>", "<E>") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 'it\\'s :end', :start", "SELECT 'it\\'s :end', <S>"),
        ("SELECT 'x\\'y' WHERE t >= :start", "SELECT 'x\\'y' WHERE t >= <S>"),
        ("SELECT 1 # it's a comment\nWHERE t >= :start", "SELECT 1 # it's a comment\nWHERE t >= <S>"),
        ("SELECT :start; # done", "SELECT <S>"),
    ],
)
def test_bounds_as_mysql_reads_a_query(query, expected):
    assert with_bounds(query, "<S>", "<E>", mysql=True) == expected
    QuerySection(connection="shop", query=query.replace(":start", ":start AND t < :end"))


def test_a_query_without_both_bounds_is_refused():
    assert bounds_in("SELECT ':end' WHERE t >= :start") == {"start"}
    with pytest.raises(ValidationError, match="does not use :end"):
        QuerySection(connection="shop", query="SELECT ':end' WHERE t >= :start")
