"""What every part of a definition has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a definition: frozen, and closed to unknown fields.

    `document.py` reads what the fields mean from the source; pydantic would do so in every process that imports it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
