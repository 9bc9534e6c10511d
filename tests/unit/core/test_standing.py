"""A child that stands by keeps what a child of its own keeps: limits, answers, and the caller's peace."""

import json
import os
import signal
import time
from functools import partial

import pytest

from evergreen.core import sandbox, standing
from evergreen.core.sandbox import Board, Bounds
from evergreen.errors import UnavailableError

QUICK = Bounds(seconds=1, memory=256 << 20, wait=20, what="tries")
OPEN = Bounds(seconds=1, memory=256 << 20, wait=20, what="tries", opens_files=True)


def say(words, answer):
    answer.write(f"{words} {os.getpid()}".encode())
    return sandbox.DONE


def refuse(answer):
    answer.write(b"no")
    return sandbox.REFUSED


def spin(answer):
    sandbox.note("spinning", "a")
    while True:
        pass


def take_memory(answer):
    return len(bytearray(1 << 30))


def end(number, answer):
    os.kill(os.getpid(), number)
    return sandbox.DONE


def stumble(answer):
    answer.write(b"half")
    raise ValueError("stumbled")


def sleep(answer):
    time.sleep(60)
    return sandbox.DONE


def count_files(path, answer):
    path.read_text()
    return sandbox.DONE


def write_much(size, answer):
    answer.write(b"x" * size)
    return sandbox.DONE


def call(thing, answer):
    answer.write(thing().encode())
    return sandbox.DONE


def do(work, bounds=QUICK, board=None):
    with sandbox.memory_file() as answer:
        code = sandbox.run(work, answer, bounds, board)
        return code, sandbox.said(answer)


def pid():
    code, said = do(partial(say, "I am"))
    assert code == sandbox.DONE
    return int(said.split()[-1])


def test_one_process_does_it_all_and_ends_with_the_block():
    with standing.by():
        first = pid()
        assert first != os.getpid()
        assert do(refuse) == (sandbox.REFUSED, "no")
        assert pid() == first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert pid() != first


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (partial(end, signal.SIGSEGV), -signal.SIGSEGV),
        (spin, -signal.SIGXCPU),
        (take_memory, sandbox.MEMORY),
        (stumble, sandbox.FAULT),
    ],
)
def test_what_ends_it_ends_itself_alone(work, code):
    with standing.by():
        first = pid()
        found, said = do(work)
        assert found == code
        assert ("ValueError('stumbled')" in said) == (work is stumble)
        second = pid()
        assert second != first
        assert pid() == second


def test_processor_time_is_counted_for_each_piece():
    def busy():
        begun = time.process_time()
        while time.process_time() - begun < 0.4:
            pass
        return str(os.getpid())

    with standing.by(busy):
        found = {do(partial(call, busy)) for _ in range(6)}
    assert len(found) == 1, "2.4 seconds in one process, 1 for each piece"


def test_what_is_shared_need_not_be_pickled_and_what_cannot_be_gets_a_process_of_its_own():
    shared = lambda: "shared"  # noqa: E731 - a lambda cannot be pickled
    with standing.by(shared):
        first = pid()
        assert do(partial(call, shared)) == (sandbox.DONE, "shared")
        assert do(partial(call, lambda: str(os.getppid()))) == (sandbox.DONE, str(os.getpid()))
        assert do(partial(call, lambda: str(os.getpid())))[1] != str(first)
        assert pid() == first


def test_it_opens_files_only_if_it_may(tmp_path):
    file = tmp_path / "file"
    file.write_text("words")
    with standing.by(), file.open() as held:
        assert "Too many open files" in do(partial(count_files, file))[1]
        assert do(partial(count_files, file), OPEN)[0] == sandbox.DONE
        assert "Bad file descriptor" in do(partial(call_read, held.fileno()), OPEN)[1]


def call_read(number, answer):
    answer.write(os.read(number, 9))
    return sandbox.DONE


def test_the_board_says_what_it_was_doing():
    board = Board()
    with standing.by():
        do(partial(say, "first"), board=board)
        assert board.read() == ""
        do(spin, board=board)
    assert json.loads(board.read()) == ["spinning", "a"]


@pytest.mark.parametrize("size", [0, 1, 3 << 20, 80 << 20])
def test_an_answer_of_any_size_comes_whole_and_leaves_nothing_to_the_next(size):
    with standing.by():
        roomy = Bounds(seconds=5, memory=1 << 30, wait=20, what="tries")
        assert do(partial(write_much, size), roomy) == (sandbox.DONE, "x" * size)
        assert do(refuse) == (sandbox.REFUSED, "no")


def test_a_piece_of_any_size_is_done():
    for size in (10, 3 << 20, 80 << 20):
        with standing.by():
            code, said = do(partial(call, partial(str, "y" * size)), Bounds(5, 1 << 30, 20, "tries"))
        assert (code, len(said)) == (sandbox.DONE, size)


def test_who_ends_it_from_outside_or_lets_it_wait_is_no_fault_of_the_work():
    with standing.by():
        with pytest.raises(UnavailableError, match="SIGKILL"):
            do(partial(end, signal.SIGKILL))
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match="hardly worked"):
            do(sleep, Bounds(1, 256 << 20, 1, "tries"))
        assert time.monotonic() - begun < 10
        assert pid()


def test_after_many_pieces_another_process_goes_on(monkeypatch):
    monkeypatch.setattr(standing, "_MOST_PIECES", 2)
    with standing.by():
        found = [pid() for _ in range(5)]
    assert found[0] == found[1] != found[2] == found[3] != found[4]
