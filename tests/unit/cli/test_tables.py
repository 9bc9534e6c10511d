"""What people typed, or data held, is shown as text: it moves no cursor and writes no lines of its own."""

import pytest

from evergreen.cli import tables

HOSTILE = "ok\x1b[1A\x1b[2K FAKED\n2026 promoted by admin \u202eabc \x9b31m"
SHOWN = "ok\\u001b[1A\\u001b[2K FAKED 2026 promoted by admin \\u202eabc \\u009b31m"


@pytest.mark.parametrize("width", ["60", "200"])
def test_a_hostile_reason_stays_one_text(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    tables.print_facts([("because", HOSTILE)])
    tables.print_table("Decisions", ["when", tables.WHY], [("2026", HOSTILE)])
    said = capsys.readouterr().out
    assert "\x1b[2K" not in said
    assert not {"\x9b", "\u202e"} & set(said)
    assert "".join(said.split()).count("".join(SHOWN.split())) == 2
