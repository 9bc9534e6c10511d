"""From a template to a response that trusts nothing it shows."""

from __future__ import annotations

import datetime as dt
import secrets
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from evergreen.core.store.page_links import openable

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """The template's page. It loads nothing, runs its own script only, and is framed by Airflow's own pages only."""
    nonce = secrets.token_urlsafe(16)
    body = _environment().get_template(template).render(root=root_of(request), nonce=nonce, **values)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return HTMLResponse(body, status_code=status, headers={**SAFE_HEADERS, "Content-Security-Policy": policy})


def root_of(request: Request) -> str:
    """Path under which the application is mounted, without a slash at its end."""
    return str(request.scope.get("root_path", "")).rstrip("/")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evergreen.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minute"] = _minute
    environment.filters["openable"] = openable
    return environment


def _minute(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")
