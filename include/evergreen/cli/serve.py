"""`evergreen serve`."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from evergreen.cli.shared import HomeOption, join_stack
from evergreen.errors import SettingsError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all of the host's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8600,
    home: HomeOption = None,
) -> None:
    """Answer requests for predictions over HTTP, until it is told to stop (docs/online-predictions.md).

    Every model is predicted by the version that the ledger says serves at that moment, from features of the same
    `features.py` as in the batch; each prediction is on record before it is given. Clients send the token in
    EVERGREEN_ONLINE_TOKEN. A stack that was started with `evergreen up` runs such a server already. It keeps nothing on
    disk: start as many as the load needs.
    """
    join_stack(home)
    from evergreen.loop.online import server
    from evergreen.settings import Settings
    from evergreen.stack.config.ports import holder, is_free

    settings = Settings.from_env()
    if host in ("127.0.0.1", "localhost") and not is_free(port):
        raise SettingsError(f"port {port} is taken by {holder(port)}; choose another one with --port")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("alembic", "httpx", "mlflow", "urllib3", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    server.serve(settings, host, port)
