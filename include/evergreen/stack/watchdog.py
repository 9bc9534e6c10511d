"""Ends a stack whose supervisor is gone.

Holds the reading end of a pipe whose writing end only the supervisor has: however the supervisor ends, `kill -9`
included, the pipe closes, and whatever is left of the stack is ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from evergreen.stack.config.home import Home
from evergreen.stack.embedded import postgres
from evergreen.stack.process import processes
from evergreen.stack.process import state as states
from evergreen.stack.process.shutdown import end_stack


def main(pipe: int, home: Home, stack_id: str) -> None:
    """Wait for the supervisor's end, then end the rest. An orderly stop leaves nothing to do."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    while os.read(pipe, 1):
        pass
    state = states.read(home.state)
    if state.stack_id != stack_id:  # the stack has been started anew already: its processes are not our business
        processes.end(processes.marked(stack_id), 1)
        return
    end_stack(state)
    # The state may lag behind the last start of the database, which (it sets its title) does not show the marker.
    lock = states.try_lock(home.lock)
    if lock is not None:
        postgres.clear_stale(home.postgres)
        lock.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Home(Path(sys.argv[2])), sys.argv[3])
