"""The section `online` of `model.yaml`."""

from __future__ import annotations

from typing import Literal

from evergreen.definition.section import Section


class OnlineSection(Section):
    """Predictions on request (docs/online-predictions.md)."""

    context: Literal["request", "partition"] = "request"
    """Rows that `features.py` gets: those of the request, or beside them the accepted inputs of their partition."""
