"""The pages under /evergreen in Airflow's web server, and the tab that leads to them from each DAG.

This file runs in every process of Airflow: the application is made when the first request for it comes, which is in
the api-server only.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/evergreen"
BASE = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


class LazyPages:
    """An ASGI application that makes the real one when it is first asked."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if self._app is None:
            self._app = build()
        await self._app(scope, receive, send)


def build() -> Any:
    """The application, guarded by Airflow's own login and permissions."""
    from airflow.api_fastapi.core_api.security import get_user

    from evergreen.settings import Settings
    from evergreen.web.app import create_app
    from evergreen.web.metrics import VARIABLE

    return create_app(
        settings=Settings.from_env,
        identify=get_user,
        may_read=may_read,
        metrics_token=lambda: os.environ.get(VARIABLE),
    )


def may_read(user: Any, model: str) -> bool:
    """Whether `user` may read a model: everybody may who may read the DAG that monitors it."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
    from airflow.models.dag import DagModel

    dag_id = f"{model}.monitor"
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return bool(get_auth_manager().is_authorized_dag(method="GET", details=details, user=user))


class EvergreenPages(AirflowPlugin):
    """Mounts the pages and links to them."""

    name = "evergreen_pages"
    fastapi_apps = [{"name": "Evergreen", "app": LazyPages(), "url_prefix": PREFIX}]  # noqa: RUF012
    external_views = [  # noqa: RUF012 -- Airflow reads lists of the class
        {
            "name": "Evergreen",
            "href": f"{BASE}{PREFIX}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "evergreen",
        },
        {
            "name": "Model",
            "href": f"{BASE}{PREFIX}/dags/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "evergreen-model",
        },
    ]
