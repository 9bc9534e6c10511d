"""The state file, its lock, and the log files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import UnavailableError
from evergreen.stack.process import logs
from evergreen.stack.process import state as states
from evergreen.stack.process.processes import ProcessRef
from evergreen.stack.process.state import ServiceState, StackState

refs = st.none() | st.builds(ProcessRef, st.integers(1, 2**22), st.floats(0, 2e9))
conditions = st.sampled_from(["waiting", "healthy", "restarting", "failed"])
services = st.dictionaries(
    st.text(max_size=8), st.builds(ServiceState, conditions, refs, st.integers(0, 99)), max_size=3
)


@given(
    state=st.builds(StackState, phase=st.just("ready"), error=st.none() | st.text(), supervisor=refs, services=services)
)
def test_a_state_is_read_as_it_was_written(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "stack.json"
    states.write(path, state)
    assert states.read(path) == state


def test_no_state_is_a_stopped_stack(tmp_path):
    assert states.read(tmp_path / "stack.json").phase == "stopped"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stack_id": "x"}'])
def test_a_damaged_state_says_what_to_do(tmp_path, text):
    path = tmp_path / "stack.json"
    path.write_text(text)
    with pytest.raises(UnavailableError, match="is damaged"):
        states.read(path)


def test_a_state_that_cannot_be_written_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "stack.json").mkdir()
    with pytest.raises(IsADirectoryError):
        states.write(tmp_path / "stack.json", StackState())
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_one_at_a_time_holds_the_lock(tmp_path):
    first = states.try_lock(tmp_path / "stack.lock")
    assert states.try_lock(tmp_path / "stack.lock") is None
    first.close()
    assert states.try_lock(tmp_path / "stack.lock") is not None


def test_logs_are_moved_aside_and_a_writer_goes_on(tmp_path):
    log = tmp_path / "x.log"
    with log.open("a") as writer:
        for number in range(5):
            writer.write(f"{number}\n")
            writer.flush()
            logs.rotate(log)
        writer.write("now\n")
    assert log.read_text() == "now\n"
    kept = [log.with_name(f"x.log.{n}").read_text() for n in range(1, logs.KEPT + 1)]
    assert kept == ["4\n", "3\n", "2\n"]
    assert len(list(tmp_path.iterdir())) == 1 + logs.KEPT


def test_a_small_log_stays(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("a\nb\nc\n")
    logs.rotate_if_large(log, limit=100)
    assert logs.tail(log, lines=2) == "b\nc"
    assert logs.tail(tmp_path / "none.log") == "(nothing was logged)"
