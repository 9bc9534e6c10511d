"""The calls that the tasks make, each in a process of its own that is killed at random moments and begun again.

No Airflow: a kill costs a second and not minutes, so that there can be hundreds, at any line of any stage.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil
from sqlalchemy import select

from bench.performance.year import train
from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import Decision
from evergreen.core.names import PartitionKey
from evergreen.loop.alerts.send import send_pending
from evergreen.loop.alerts.smtp import SmtpSettings
from evergreen.settings import Settings
from evergreen.stack.control import Stack

Call = Callable[[], object]
SERVERS = ("postgres", "mlflow", "mail")
TYPICAL_SECONDS = {
    "validate": 1.5,
    "build": 2.5,
    "score": 2.0,
    "check": 6.0,
    "train": 25.0,
    "follow": 3.0,
    "mails": 0.6,
}
"""Within which a kill falls; also a little later, when the call has ended and there is nothing to kill."""
ATTEMPTS = 12
WITHOUT_ANSWER = 42
"""Exit code of a call that found a server away: Airflow would try it again."""


class Calls:
    """Makes calls in children of this process, and kills them and the servers that they need."""

    def __init__(self, stack: Stack, seed: int, most: int, say: Callable[[str], None]) -> None:
        self.done: Counter[str] = Counter()
        self._stack, self._rng, self._most, self._say = stack, random.Random(seed), most, say

    @property
    def kills(self) -> int:
        """Processes that were killed so far."""
        return sum(self.done.values())

    def make(self, stage: str, call: Call) -> None:
        """Make a call until it succeeds: killed up to three times, and now and then begun twice at once.

        Raises:
            SystemExit: it failed by itself.
        """
        rng = self._rng
        for _ in range(ATTEMPTS):
            children = [_begin(call) for _ in range(2 if rng.random() < 0.2 else 1)]
            if self.kills < self._most and rng.random() < 0.65:
                self._kill(stage, children)
            codes = [_end(child) for child in children]
            if 0 in codes:
                return
            if not all(code in (-signal.SIGKILL, WITHOUT_ANSWER) for code in codes):
                raise SystemExit(f"{stage} ended with {codes}")
            if WITHOUT_ANSWER in codes:
                time.sleep(2)
        raise SystemExit(f"{stage} did not succeed in {ATTEMPTS} attempts")

    def _kill(self, stage: str, children: list[int]) -> None:
        """Kill a child, or a server that it may be talking to, at a moment of the call."""
        rng = self._rng
        moment, at_server, draw = rng.random() * 1.1 * TYPICAL_SECONDS[stage], rng.random() < 0.15, rng.random()
        time.sleep(moment)
        if at_server:
            name = SERVERS[int(draw * len(SERVERS))]
            service = self._stack.status().services[name].process
            victim = service.process() if service else None
        else:
            name, victim = stage, _alive(children[int(draw * len(children))])
        if victim is None:
            return
        victim.kill()
        self.done[f"kill {name}"] += 1
        self._say(f"    {self.kills:3} kill {name}{'' if name == stage else f' during {stage}'} after {moment:.1f} s")


def replay(
    calls: Calls, definition: ModelDefinition, keys: list[PartitionKey], history: int, settings: Settings
) -> None:
    """Weeks go by: what the DAGs would call for each, in the order in which they would."""
    from evergreen.loop.features.build import build
    from evergreen.tools.simulator.land import land

    land(definition, keys, landing_url=settings.landing_url)
    for number, key in enumerate(keys):
        for table, of in (("inputs", key), ("labels", definition.partitions.shift(key, -1))):
            if table == "inputs" or number:
                calls.make("validate", partial(_validate, definition, table, of, settings))
        calls.make("build", partial(build, definition, key, settings=settings))
        if number == history - 1:
            cause = {"cause": "first", "cause_key": "first", "reason": "bench", "as_of": keys[history - 2]}
            calls.make("train", partial(train, definition, settings, cause))
        if number >= history - 1:
            calls.make("check", partial(_score_and_check, definition, key, settings))
            _follow_up(calls, definition, key, settings)
        calls.make("mails", lambda: send_pending(settings=settings, smtp=_smtp()))


def _validate(definition: ModelDefinition, table: Any, key: PartitionKey, settings: Settings) -> None:
    from evergreen.loop.intake.receive import receive
    from evergreen.loop.intake.validate import validate

    received = receive(definition, table, key, settings=settings)
    validate(definition, received.partition_version_id, settings=settings)


def _score_and_check(definition: ModelDefinition, key: PartitionKey, settings: Settings) -> None:
    """What the DAGs score and monitor call; the training comes as a call of its own."""
    from evergreen.loop.monitoring.check import run
    from evergreen.loop.scoring.score import score

    score(definition, key, settings=settings)
    run(definition, key, settings=settings)


def _follow_up(calls: Calls, definition: ModelDefinition, key: PartitionKey, settings: Settings) -> None:
    """What the check of `key` decided."""
    with Ledger.from_settings(settings).transaction() as session:
        query = select(Decision).where(Decision.model == definition.name, Decision.key == key)
        decided = session.scalars(query.where(Decision.dedup_key.startswith("monitor:")).order_by(Decision.id)).all()
    for decision in decided:
        seen = decision.evidence
        if decision.kind == "retrain":
            cause = {name: str(seen[name]) for name in ("cause", "cause_key", "as_of")} | {"reason": decision.reason}
            calls.make("train", partial(train, definition, settings, cause))
        elif decision.kind in ("rollback", "promote"):
            calls.make("follow", partial(_follow, definition, decision.id, settings))


def _follow(definition: ModelDefinition, decision_id: int, settings: Settings) -> None:
    from evergreen.loop.champion.apply_decision import follow

    follow(definition, decision_id, settings=settings)


def _smtp() -> SmtpSettings:
    at = {name: os.environ[f"EVERGREEN_SMTP_{name.upper()}"] for name in ("host", "port", "user", "password")}
    return SmtpSettings(**at, starttls=False, sender=os.environ["EVERGREEN_MAIL_FROM"])


def _begin(call: Call) -> int:
    """Make the call in a child; its process id."""
    from evergreen.errors import UnavailableError

    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        call()
    except UnavailableError:
        os._exit(WITHOUT_ANSWER)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _alive(child: int) -> psutil.Process | None:
    process = psutil.Process(child)
    return process if process.status() != psutil.STATUS_ZOMBIE else None


def _end(child: int) -> int:
    """The child's exit code, negative for a signal."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
