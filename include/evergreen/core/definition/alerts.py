"""The section `alerts` of `model.yaml`: who is told what, and how."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, StringConstraints, field_validator, model_validator

from evergreen.core.definition.sections import Section
from evergreen.core.values import ChannelType

Kind = Literal[
    "quarantine", "drift", "harm", "age", "approval", "promotion", "refusal", "rollback", "late_feed", "stray_drop",
    "stuck", "task_failure", "labels", "code", "silence", "digest",
]  # fmt: skip
"""Why a mail is sent; also the name of its page in docs/runbooks."""
KINDS: tuple[Kind, ...] = get_args(Kind)
ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class ChannelSection(Section):
    """A way beside mail. Its address is a secret: it stands in an Airflow connection or a variable, never here."""

    type: ChannelType
    """`apprise`: an address as Apprise writes it, such as slack://, workflows:// (Teams) or pagerduty://. `webhook`: an
    https:// address that is given JSON."""
    secret: ChannelName
    """Name of the address: the variable `EVERGREEN_CHANNEL_<NAME>` in capitals, or the Airflow connection of this name
    with the address as its password."""


class RouteSection(Section):
    """Who gets which kinds."""

    kinds: tuple[Kind, ...] = KINDS
    """Kinds of messages; by default all."""
    to: tuple[str, ...] = ()
    """Addresses that mails of these kinds go to, in place of `alerts.to`."""
    channels: tuple[ChannelName, ...] = ()
    """Names in `alerts.channels` that get them too."""

    @field_validator("to")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_addresses(value)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.kinds or not (self.to or self.channels):
            raise ValueError("a route needs kinds, and addresses in `to` or names in `channels`")
        return self


class AlertsSection(Section):
    """Who is told."""

    to: tuple[str, ...] = Field(min_length=1)
    """Addresses that every mail about the model goes to, unless a route names others for its kind."""
    runbooks: str | None = None
    """Base address of the runbook pages that mails link to; default: the pages this deployment serves itself."""
    digest: Literal["weekly", "never"] = "weekly"
    """One mail a week with what happened and what needs a person, if there is anything; or never (docs/messages.md)."""
    channels: dict[ChannelName, ChannelSection] = Field(default={})
    """Ways beside mail, by name."""
    routes: tuple[RouteSection, ...] = ()
    """Who gets which kinds; all routes that name a kind apply."""

    @field_validator("to")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_addresses(value)

    @model_validator(mode="after")
    def _known_channels(self) -> Self:
        for route in self.routes:
            for name in route.channels:
                if name not in self.channels:
                    raise ValueError(f"routes: there is no channel {name!r} in alerts.channels")
        return self

    def recipients(self, kind: str) -> tuple[str, ...]:
        """Addresses that a mail of `kind` goes to."""
        named = tuple(dict.fromkeys(to for route in self.routes if kind in route.kinds for to in route.to))
        return named or self.to

    def channels_of(self, kind: str) -> dict[str, ChannelSection]:
        """Channels that a message of `kind` goes to, by name."""
        return {name: self.channels[name] for route in self.routes if kind in route.kinds for name in route.channels}


def checked_addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """`value`, if each is an e-mail address.

    Raises:
        ValueError: one is none.
    """
    for address in value:
        if address.count("@") != 1 or any(c.isspace() for c in address):
            raise ValueError(f"{address!r} is not an e-mail address")
    return value
