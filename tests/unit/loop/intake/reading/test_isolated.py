"""Whatever reading does to its process, the caller goes on and hears of it in words."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace

import psutil
import pyarrow as pa
import pytest

from evergreen.errors import UnavailableError
from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading.isolated import contained

TABLE = pa.table({"a": [1, None], "b": ["x", "ÿ"], "c": pa.array(["p", "p"]).dictionary_encode()})
QUICK = replace(LIMITS, read_seconds=1, read_memory=256 << 20)


def refusal(work, limits=QUICK):
    with pytest.raises(UnfitFileError) as caught:
        contained(work, limits)
    assert str(caught.value).isprintable()
    return caught.value


def spin():
    while True:
        pass


def test_the_table_comes_back_as_it_was():
    assert contained(lambda: TABLE, LIMITS).equals(TABLE)
    assert contained(lambda: TABLE.slice(0, 0), LIMITS).schema == TABLE.schema
    big = pa.table({"n": pa.array(range(3_000_000))})
    assert contained(lambda: big, LIMITS).equals(big)


def test_failures_come_back_as_they_were():
    failures = (unfit("size", "too large", observed="1", expected="0", column="a"), unfit("rows", "none"))

    def work():
        raise UnfitFileError(*failures)

    assert refusal(work).failures == failures


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_ends_the_child_alone(number, capfd):
    said = refusal(lambda: os.kill(os.getpid(), number))
    assert f"damaged in a way that its reader cannot bear ({number.name})" in str(said)
    assert capfd.readouterr() == ("", ""), "nothing of it reaches the task's log"


def test_an_exception_is_words_and_no_traceback(capfd):
    said = refusal(lambda: 1 // 0)
    assert "ZeroDivisionError('integer division or modulo by zero')" in str(said)
    assert capfd.readouterr() == ("", "")


def test_what_never_ends_is_ended():
    assert str(refusal(spin)) == "reading the file took more than 1 seconds of processor time"


def test_what_takes_all_memory_is_refused():
    assert "more than 268,435,456 bytes of memory" in str(refusal(lambda: bytearray(1 << 30)))
    assert "bytes of memory" in str(refusal(lambda: pa.table({"a": pa.array(bytes(400 << 20)[::-1])})))


def test_the_parents_files_are_closed_to_the_child_and_no_others_open(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with secret.open() as file:
        assert "Bad file descriptor" in str(refusal(lambda: os.read(file.fileno(), 9)))
    assert "Too many open files" in str(refusal(lambda: secret.read_text()))


@pytest.mark.parametrize("work", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: time.sleep(60)])
def test_what_is_no_fault_of_the_file_is_no_verdict(work):
    with pytest.raises(UnavailableError, match="nothing was recorded"):
        contained(work, replace(QUICK, read_wait=1))


def test_no_child_is_left_behind():
    before = {child.pid for child in psutil.Process().children()}
    for work in (spin, lambda: TABLE, lambda: time.sleep(60)):
        with suppress(UnfitFileError, UnavailableError):
            contained(work, replace(QUICK, read_wait=1))
    assert {child.pid for child in psutil.Process().children()} <= before
