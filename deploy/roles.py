"""Who may do what in Airflow: the roles of a deployment, on top of those that FabAuthManager brings.

`Viewer` and `Admin` are FAB's own. `Operator` and `Approver` are made here, with exactly these permissions: what
somebody adds to them by hand goes with the next `init`, so that an earlier release leaves no right behind. Who needs
more gets a role of their own beside it.

`python deploy/roles.py` does the same for models that came after `init`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

Permission = tuple[str, str]
"""Action and resource, as FAB calls them"""

log = logging.getLogger("evergreen.deploy")

WORK: tuple[Permission, ...] = (
    ("can_edit", "DAGs"),  # pause; Airflow asks for it beside each of the following
    ("can_create", "DAG Runs"),
    ("can_edit", "DAG Runs"),
    ("can_create", "Task Instances"),
    ("can_edit", "Task Instances"),
    ("can_create", "Backfills"),
    ("can_edit", "Backfills"),
    ("can_create", "Assets"),
)
"""Trigger, backfill, clear, mark and pause: nothing is deleted, and nobody's approval is given."""
ANSWER: tuple[Permission, ...] = (("can_edit", "HITL Detail"), ("menu_access", "HITL Detail"))
"""Answer what a run asks a person, if the DAG itself may be edited too"""


def roles(viewer: Iterable[Permission], models: Iterable[str]) -> dict[str, set[Permission]]:
    """The permissions of each role that is made here. Pure.

    Args:
        viewer: permissions of FAB's role `Viewer`.
        models: names of the models; an approver answers for their trainings and rolls them back, and no more.
    """
    seen = set(viewer)
    of_models = {permission for model in models for permission in _approval(model)}
    return {"Operator": seen | set(WORK), "Approver": seen | set(ANSWER) | of_models}


def _approval(model: str) -> tuple[Permission, ...]:
    train, rollback = f"{model}.train", f"{model}.rollback"
    return (
        ("can_edit", f"DAG:{train}"),
        ("can_edit", f"DAG:{rollback}"),
        ("can_create", f"DAG Run:{rollback}"),
    )


def provision(manager: Any, models: Iterable[str]) -> None:
    """Make the roles, and give each exactly its permissions.

    Args:
        manager: the security manager of FAB's application builder.
        models: as in `roles`.
    """
    if manager.find_role("Viewer") is None:
        manager.sync_roles()
    for name, wanted in roles(manager.VIEWER_PERMISSIONS, models).items():
        manager.bulk_sync_roles([{"role": name, "perms": sorted(wanted)}])
        role = manager.find_role(name)
        surplus = [p for p in role.permissions if (p.action.name, p.resource.name) not in wanted]
        for permission in surplus:
            manager.remove_permission_from_role(role, permission)
        log.info("role %s has %d permissions%s", name, len(wanted), f", lost {len(surplus)}" if surplus else "")


def main() -> None:
    """Provision the roles of this deployment's models."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    from evergreen.core.definition import list_models
    from evergreen.settings import Settings

    quiet()
    with get_application_builder() as builder:
        provision(builder.sm, list_models(Settings.from_env().models_dir))


def quiet() -> None:
    """FAB reports each of the permissions it adds, some hundred lines."""
    logging.getLogger("airflow.providers.fab.auth_manager").setLevel(logging.WARNING)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main()
