"""The roles of a deployment, tried one by one on a real api-server with the FAB auth manager and real PostgreSQL."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.control import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SERVICES = ("postgres", "databases", "airflow-migrate", "ledger-migrate", "folders", "api-server", "dag-processor")
ROLES = ("Viewer", "Operator", "Approver", "Admin")
PASSWORD = "a-password-of-this-test"
TRAIN, ROLLBACK, INGEST = "nyc_flights.train", "nyc_flights.rollback", "nyc_flights.ingest_inputs"
WEEK = {"from_date": "2013-01-07T00:00:00Z", "to_date": "2013-01-07T00:00:00Z"}
EVERYBODY = set(ROLES)

PEOPLE = f"""
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    manager = builder.sm
    for role in {ROLES!r}:
        name = "the-" + role.lower()
        assert manager.add_user(name, role, "Of This Test", name + "@localhost", manager.find_role(role), {PASSWORD!r})
"""
FORMS = """
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
with create_session() as session:
    for task in session.query(TaskInstance).filter_by(task_id="approve"):
        session.add(HITLDetail(ti_id=task.id, options=["Promote", "Refuse"], subject="?", params={}))
"""
PERMISSIONS = """
import json
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    found = {role.name: sorted([p.action.name, p.resource.name] for p in role.permissions)
             for role in builder.sm.get_all_roles()}
print("found:" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """A stack whose Airflow has the FAB auth manager, on which deploy/init.py has run."""
    stack = Stack(Home(tmp_path_factory.mktemp("fab")), only=SERVICES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", FAB)
        try:
            stack.start(tied=True)
            yield Deployment(stack)
        finally:
            stack.stop()


class Deployment:
    """What a person with a login can do here."""

    def __init__(self, stack):
        _, password = stack.airflow_login
        self.env = stack.environment() | {"AIRFLOW_ADMIN_PASSWORD": password}
        self.url = stack.urls["airflow"]
        self.run(str(PROJECT / "deploy" / "init.py"))
        self.run("-c", PEOPLE)
        stack.airflow.wait_until_dags_parsed([TRAIN, ROLLBACK, INGEST], timeout=300)
        for role in ROLES:
            assert self.ask("Admin", "POST", f"dags/{TRAIN}/dagRuns", run_of(role)).status_code == 200
        self.run("-c", FORMS)

    def run(self, *words):
        done = subprocess.run([sys.executable, *words], env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def permissions(self):
        said = self.run("-c", PERMISSIONS)
        return json.loads(next(line for line in said.splitlines() if line.startswith("found:"))[6:])

    def ask(self, role, method, path, body=None):
        address = f"{self.url}{path}" if path.startswith("/") else f"{self.url}/api/v2/{path}"
        headers = {"Authorization": f"Bearer {self.token(role)}"} if role else {}
        return httpx.request(method, address, json=body, headers=headers, timeout=60, trust_env=False)

    def token(self, role):
        login = {"username": f"the-{role.lower()}", "password": PASSWORD}
        answer = httpx.post(f"{self.url}/auth/token", json=login, timeout=60, trust_env=False)
        return answer.raise_for_status().json()["access_token"]


def run_of(role, **conf):
    return {"dag_run_id": f"of-{role}", "logical_date": None, "conf": conf}


def form_of(role):
    return f"dags/{TRAIN}/dagRuns/of-{role}/taskInstances/approve/-1/hitlDetails"


CASES = {
    "read the DAGs": (EVERYBODY, lambda role: ("GET", "dags", None)),
    "read a run": (EVERYBODY, lambda role: ("GET", f"dags/{TRAIN}/dagRuns/of-{role}", None)),
    "read a log": (EVERYBODY, lambda role: ("GET", f"dags/{TRAIN}/dagRuns/of-{role}/taskInstances/fit/logs/1", None)),
    "read a model's page": (EVERYBODY, lambda role: ("GET", "/evergreen/models/nyc_flights", None)),
    "read what is asked": (EVERYBODY, lambda role: ("GET", form_of(role), None)),
    "answer an approval": (
        {"Approver", "Admin"},
        lambda role: ("PATCH", form_of(role), {"chosen_options": ["Refuse"], "params_input": {}}),
    ),
    "roll back": (
        {"Operator", "Approver", "Admin"},
        lambda role: ("POST", f"dags/{ROLLBACK}/dagRuns", run_of(role, why="this test asks for it")),
    ),
    "train": (
        {"Operator", "Admin"},
        lambda role: ("POST", f"dags/{TRAIN}/dagRuns", {"dag_run_id": f"by-{role}", "logical_date": None, "conf": {}}),
    ),
    "backfill": (
        {"Operator", "Admin"},
        lambda role: ("POST", "backfills/dry_run", {"dag_id": INGEST, **WEEK}),
    ),
    "clear": (
        {"Operator", "Admin"},
        lambda role: (
            "POST",
            f"dags/{TRAIN}/clearTaskInstances",
            {"dry_run": False, "dag_run_id": f"of-{role}", "task_ids": ["fit"], "only_failed": False},
        ),
    ),
    "pause": ({"Operator", "Admin"}, lambda role: ("PATCH", f"dags/{INGEST}", {"is_paused": True})),
    "delete a run": ({"Admin"}, lambda role: ("DELETE", f"dags/{TRAIN}/dagRuns/of-{role}", None)),
    "read connections": ({"Admin"}, lambda role: ("GET", "connections", None)),
    "set a variable": ({"Admin"}, lambda role: ("POST", "variables", {"key": f"of-{role}", "value": "1"})),
    "read users": ({"Admin"}, lambda role: ("GET", "/auth/fab/v1/users", None)),
}


@pytest.mark.parametrize("action", CASES)
def test_each_role_may_do_what_it_may_and_no_more(deployment, action):
    may, request = CASES[action]
    answers = {role: deployment.ask(role, *request(role)) for role in ROLES}
    refused = {role for role, answer in answers.items() if answer.status_code == 403}
    assert refused == EVERYBODY - may, {role: (a.status_code, a.text[:200]) for role, a in answers.items()}
    # No log has been written here: "there is none" is an answer to somebody who may ask.
    fine = {200, 201, 204} | ({404} if action == "read a log" else set())
    assert {answers[role].status_code for role in may} <= fine, {r: answers[r].text[:300] for r in may}


@pytest.mark.parametrize("action", CASES)
def test_nobody_may_do_it_without_a_login(deployment, action):
    _, request = CASES[action]
    assert deployment.ask(None, *request("Viewer")).status_code in (401, 403)


def test_provisioning_again_changes_nothing_and_takes_back_what_was_added(deployment):
    before = deployment.permissions()
    assert {"Viewer", "Operator", "Approver", "Admin"} <= set(before)
    added = (
        "from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder\n"
        "with get_application_builder() as builder:\n"
        "    builder.sm.bulk_sync_roles([{'role': 'Approver', 'perms': [('can_delete', 'DAGs')]}])\n"
    )
    deployment.run("-c", added)
    assert deployment.permissions() != before
    deployment.run(os.fspath(PROJECT / "deploy" / "roles.py"))
    assert deployment.permissions() == before
