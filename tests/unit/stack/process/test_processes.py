"""Finding and ending processes, on real ones."""

import os
import subprocess
import sys
import time
import uuid

import psutil

from evergreen.stack.process import processes
from evergreen.stack.process.processes import MARKER, SERVICE_MARKER, ProcessRef

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"


def test_a_recycled_pid_is_not_taken_for_the_process():
    ref = ProcessRef.of(os.getpid())
    assert ref.alive()
    assert not ProcessRef(ref.pid, ref.created - 60).alive()
    boot, _, ticks = ref.identity.partition(":")
    assert not ProcessRef(ref.pid, ref.created, f"{boot}:{int(ticks) - 1}").alive()
    assert not ProcessRef(ref.pid, ref.created, f"another-boot:{ticks}").alive()


def test_a_process_is_known_after_the_clock_was_set():
    """A reading of its start moves with the clock: `evergreen down` once left a supervisor that started all again."""
    ref = ProcessRef.of(os.getpid())
    assert ProcessRef(ref.pid, ref.created - 74, ref.identity).alive()


def test_a_stack_of_an_earlier_release_is_known_by_the_clock():
    ref = ProcessRef.of(os.getpid())
    assert ProcessRef(ref.pid, ref.created + 1).alive()


def test_a_zombie_has_ended():
    child = subprocess.Popen(["true"])
    ref = ProcessRef(child.pid, psutil.Process(child.pid).create_time())
    deadline = time.monotonic() + 5
    while ref.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not ref.alive()
    child.wait()


def test_one_that_ignores_the_polite_signal_is_killed():
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    child.stdout.readline()
    processes.end([psutil.Process(child.pid)], grace=0.2)
    assert child.wait(5) == -9


def test_a_marked_process_is_found_after_it_left_its_parent_and_its_session():
    stack = uuid.uuid4().hex
    env = {**os.environ, MARKER: stack, SERVICE_MARKER: "scheduler"}
    subprocess.run(["setsid", "--fork", "sleep", "60"], env=env, check=True)
    deadline = time.monotonic() + 5
    # Between its fork and its exec the child still has its parent's name.
    while (names := [p.name() for p in processes.marked(stack)]) != ["sleep"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert names == ["sleep"]
    assert processes.marked(stack, "triggerer") == []
    assert processes.marked(uuid.uuid4().hex) == []
    processes.end(processes.marked(stack, "scheduler"), grace=2)
    assert processes.marked(stack) == []
