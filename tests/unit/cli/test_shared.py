"""What the commands share."""

import os
import pwd

import pytest

from evergreen.cli.shared import os_user


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_the_recorded_user_is_the_operating_systems_whatever_the_shell_says(monkeypatch, name):
    monkeypatch.setenv(name, "somebody_else")
    assert os_user() == pwd.getpwuid(os.getuid()).pw_name


def test_a_user_without_a_name_is_recorded_by_number(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert os_user() == "uid 54321"
