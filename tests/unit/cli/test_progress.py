"""What is said of what takes minutes."""

from evergreen.cli.progress import progress


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
