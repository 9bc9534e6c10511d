"""Run the HTTP server, and see that the champions are loaded before anybody asks for them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping

from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.errors import DefinitionError, EvergreenError, SettingsError
from evergreen.loop.online.answer import Online
from evergreen.loop.online.app import create_app
from evergreen.settings import Settings

log = logging.getLogger("evergreen.online")

TOKEN = "EVERGREEN_ONLINE_TOKEN"  # noqa: S105 -- a variable's name
METRICS_TOKEN = "EVERGREEN_METRICS_TOKEN"  # noqa: S105
MIN_TOKEN = 24
_LOOK_AGAIN = 5.0
"""Seconds between two looks at who serves"""
_FINISH = 20
"""Seconds that requests have to end when the server is told to stop"""


def tokens(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What clients may send, from the environment: one token, or two with a comma while they change.

    Raises:
        SettingsError: there is none, or one is too short to be secret.
    """
    env = os.environ if environ is None else environ
    found = tuple(word.strip() for word in env.get(TOKEN, "").split(",") if word.strip())
    if not found:
        raise SettingsError(
            f"{TOKEN} is not set: clients must send a token. Generate one (`openssl rand -hex 32`), keep it with the "
            "deployment's other secrets, and give it to this server and its clients"
        )
    short = [len(word) for word in found if len(word) < MIN_TOKEN]
    if short:
        raise SettingsError(
            f"{TOKEN} holds a token of {short[0]} characters; give it {MIN_TOKEN} or more (`openssl rand -hex 32`)"
        )
    return found


def serve(settings: Settings, host: str, port: int) -> None:
    """Answer requests at `host`:`port` until the process is told to stop.

    Raises:
        SettingsError: there is no token.
    """
    import uvicorn

    opened = tokens()
    online = Online(settings)
    app = create_app(settings, online, tokens=opened, metrics_token=os.environ.get(METRICS_TOKEN))
    threading.Thread(target=_keep_warm, args=(settings, online), daemon=True).start()
    log.info("answering at http://%s:%d/v1/models/MODEL/predictions", host, port)
    uvicorn.run(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=_FINISH,
    )  # fmt: skip


def _keep_warm(settings: Settings, online: Online) -> None:
    said, pause = "", threading.Event()
    while True:
        try:
            online.warm(_readable(settings))
            said = ""
        except Exception as error:
            # Whatever it was, the next look may go well; without a look nobody would call the server ready again.
            if str(error) != said:
                log.error("%s", error, exc_info=None if isinstance(error, EvergreenError) else error)
            said = str(error)
        pause.wait(_LOOK_AGAIN)


def _readable(settings: Settings) -> list[ModelDefinition]:
    found = []
    for model in list_models(settings.models_dir):
        try:
            found.append(load_definition(model, settings.models_dir))
        except DefinitionError:
            continue  # whoever asks for it is told; housekeeping mails about it
    return found
