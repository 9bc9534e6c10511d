"""What is said of what takes minutes."""

from rich.console import Console

from evergreen.cli.progress import Counted, counted, progress


def test_a_log_file_gets_a_line_for_each_change(capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with progress(26) as (say, advance):
        say("landing [2013-01-07]")
        say("landing [2013-01-07]")
        advance(9)
        say("2013-03-11: scoring")
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.endswith("week 0/26  landing [2013-01-07]")
    assert second.endswith("week 9/26  2013-03-11: scoring")


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress(26) as (say, advance):
        advance(9)
        say("2013-03-11: scoring")
    said = capsys.readouterr().err
    assert "9/26" in said
    assert "scoring" in said


def test_many_alike_get_a_line_every_few_seconds(capsys):
    times = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    told = Counted("tables checked", Console(stderr=True, highlight=False), lambda: next(times))
    for done, now in ((1, "a"), (40, "[b]"), (41, "c"), (300, "")):
        told.tell(done, 1200, now)
    assert capsys.readouterr().err.splitlines() == [
        "   6 s  tables checked 40/1,200  [b]",
        "  12 s  tables checked 300/1,200",
    ]


def test_what_is_done_at_once_is_not_told_and_a_terminal_gets_a_bar(capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with counted("tables checked") as tell:
        tell(1, 2, "a")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with counted("tables checked") as tell:
        tell(1, 2, "a")
    assert "1/2" in capsys.readouterr().err
