"""The answer to "is what this partition waits for there?"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ready", "waiting", "never"]


@dataclass(frozen=True)
class Wait:
    """Whether it is there (`ready`), may come (`waiting`) or will not come (`never`), and why, in words."""

    state: State
    reason: str
