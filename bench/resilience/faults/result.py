"""What every run with faults records of its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from evergreen.operations.audit.audit import Audit


def ending(found: Audit, begun: float, say: Callable[[str], None]) -> dict[str, Any]:
    """What the audit compared and found, said too, and the seconds since `begun` (`time.monotonic`)."""
    for one in found.disagreements:
        say(f"DISAGREES  {one.area}: {one.about}: {one.what}")
    return {
        "compared": found.compared,
        "disagreements": [one.as_dict() for one in found.disagreements],
        "seconds": round(time.monotonic() - begun),
    }
