"""Judge a table in a child process: what its values do to a conversion or to an expectation ends there.

A team's regular expression may never end on one long value (`(a+)+$`), a rule can ask for a table of all pairs. The
child has a limit on processor time, which grows with the rows, and on memory. Unlike the one that reads, it may open
files: Great Expectations, and whatever a team's rules use, import parts of themselves when they are first needed.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from functools import partial

from evergreen.core import sandbox
from evergreen.core.definition.model import ColumnType
from evergreen.core.text import plain
from evergreen.errors import DefinitionError, EvergreenError
from evergreen.loop.intake.failures import Failure, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.loop.intake.validation.suite import prepare

Work = Callable[[bool], Judgement]


def judge_apart(
    work: Work, columns: Mapping[str, ColumnType], rows: int, limits: Limits, of: str = "of this drop"
) -> Judgement:
    """What `work` says of a table of `rows` rows; if it comes to no end, a judgement that quarantines and says why.

    Args:
        work: judges; with True it evaluates one expectation after the other, which takes longer, and notes which.
        columns: of the table.
        rows: in it.
        limits: how much time and memory it may take.
        of: whose rows these are, for the reason.

    Raises:
        DefinitionError: as `work` raises it.
        EvergreenError: `work` raised something else, which is no verdict; its traceback is a note.
        UnavailableError: the child was ended from outside.
    """
    prepare()
    whose = f"{rows:,} rows {of}"
    found = _try(partial(work, False), columns, rows, limits, whose)
    if isinstance(found, Failure) and found.column is None:
        # Which one it was is worth the same time again: somebody has to mend it.
        again = _try(partial(work, True), columns, rows, limits, whose)
        found = again if isinstance(again, Failure) else found
    return found if isinstance(found, Judgement) else Judgement(False, found.sentence, (found,), None, None)


def _try(
    work: Callable[[], Judgement], columns: Mapping[str, ColumnType], rows: int, limits: Limits, whose: str
) -> Judgement | Failure:
    seconds = limits.judge_seconds + limits.judge_seconds_per_million * rows // 1_000_000
    bounds = sandbox.Bounds(
        seconds, limits.read_memory, limits.read_wait + seconds, "judges the rows", opens_files=True
    )
    board = sandbox.Board()
    with sandbox.memory_file() as answer:
        code = sandbox.run(partial(_answer, work, columns), answer, bounds, board)
        if code == sandbox.DONE:
            return Judgement.read(answer)
        if code == sandbox.REFUSED:
            raise DefinitionError(sandbox.said(answer))
        if code == sandbox.FAULT:
            raise _bug(answer)
        return _end_in_words(code, answer, board, whose, bounds)


def _answer(work: Callable[[], Judgement], columns: Mapping[str, ColumnType], answer: sandbox.Answer) -> int:
    try:
        work().write(columns, answer)
    except DefinitionError as error:
        answer.write(str(error).encode())
        return sandbox.REFUSED
    return sandbox.DONE


def _bug(answer: sandbox.Answer) -> EvergreenError:
    """What was raised is a mistake in a rule or in Evergreen, and says nothing of the file."""
    words, _, trace = sandbox.said(answer).partition("\n")
    error = EvergreenError(f"judging the rows failed: {words}")
    error.add_note(trace)
    return error


def _end_in_words(
    code: int, answer: sandbox.Answer, board: sandbox.Board, whose: str, bounds: sandbox.Bounds
) -> Failure:
    what, column = json.loads(board.read() or '["judging", null]')
    shown = f"on the {whose}"
    if code == -signal.SIGXCPU:
        told = f"did not finish within {bounds.seconds:,} seconds of processor time {shown}"
        return unfit("time", f"{what} {told}", expected=f"at most {bounds.seconds} s", column=column)
    if code == sandbox.MEMORY:
        told = f"took more than {bounds.memory:,} bytes of memory {shown}"
        return unfit("memory", f"{what} {told}", expected=f"at most {bounds.memory} bytes", column=column)
    detail = plain(sandbox.fault(code, answer))
    told = f"{what} ended the process that it ran in ({detail}) {shown}"
    return unfit("crash", told, observed=detail, expected="an answer", column=column)
