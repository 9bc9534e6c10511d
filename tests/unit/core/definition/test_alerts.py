"""Who is told what, and how."""

import pytest
from pydantic import ValidationError

from evergreen.core.definition.alerts import KINDS, AlertsSection

WAYS = {
    "oncall": {"type": "apprise", "secret": "shop_pagerduty"},
    "events": {"type": "webhook", "secret": "shop_events"},
}


def section(**more):
    return AlertsSection.model_validate({"to": ["team@example.com"], **more})


def test_a_definition_of_before_sends_every_mail_to_all_and_nothing_elsewhere():
    alerts = section()
    assert {alerts.recipients(kind) for kind in KINDS} == {("team@example.com",)}
    assert not any(alerts.channels_of(kind) for kind in KINDS)


def test_routes_add_up_and_their_addresses_take_the_place_of_the_others():
    alerts = section(channels=WAYS, routes=[
        {"kinds": ["harm"], "to": ["lead@example.com"], "channels": ["oncall"]},
        {"kinds": ["harm", "drift"], "to": ["ds@example.com", "lead@example.com"]},
        {"channels": ["events"]},
    ])  # fmt: skip
    assert alerts.recipients("harm") == ("lead@example.com", "ds@example.com")
    assert alerts.recipients("drift") == ("ds@example.com", "lead@example.com")
    assert alerts.recipients("age") == ("team@example.com",)
    assert list(alerts.channels_of("harm")) == ["oncall", "events"]
    assert list(alerts.channels_of("digest")) == ["events"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"routes": [{"kinds": ["harm"], "channels": ["oncall"]}]}, "no channel 'oncall'"),
        ({"routes": [{"kinds": ["harm"]}]}, "needs kinds"), ({"routes": [{"kinds": [], "to": ["a@b"]}]}, "needs kinds"),
        ({"routes": [{"kinds": ["quarentine"], "to": ["a@b"]}]}, "quarantine"),
        ({"routes": [{"kinds": ["harm"], "to": ["nobody"]}]}, "not an e-mail address"),
        ({"channels": {"x": {"type": "webhook", "secret": "https://hooks.example.com/T0K3N"}}}, "pattern"),
        ({"channels": {"x": {"type": "webhook", "url": "https://hooks.example.com"}}}, "url"),
        ({"digest": "daily"}, "weekly"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(more, says):
    with pytest.raises(ValidationError, match=says):
        section(**more)
