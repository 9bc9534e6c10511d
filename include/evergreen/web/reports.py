"""Reports as they lie in the store. They hold what hostile files said, so a browser must not trust them."""

from __future__ import annotations

from pathlib import PurePosixPath

from fastapi.responses import Response

from evergreen.core.names import ObjectName
from evergreen.core.store import Store
from evergreen.web.render import SAFE_HEADERS

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/plain; charset=utf-8",
    ".png": "image/png",
}
STILL = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""A validation's page shows values of the data and has no script: none may run."""
SANDBOX = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""A report's own scripts draw its charts, in an origin of their own: no cookie, no request to Airflow or elsewhere."""


def response(store: Store, name: ObjectName, policy: str) -> Response | None:
    """The object `name` for a browser, under the content security policy `policy`; None if it is not there.

    What is of no known type is a download.
    """
    try:
        data = store.read(name)
    except (FileNotFoundError, IsADirectoryError):
        return None
    kind = TYPES.get(PurePosixPath(name).suffix)
    headers = {**SAFE_HEADERS, "Content-Security-Policy": policy}
    if kind is None:
        headers["Content-Disposition"] = f'attachment; filename="{PurePosixPath(name).name}"'
    return Response(data, media_type=kind or "application/octet-stream", headers=headers)
