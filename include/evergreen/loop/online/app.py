"""The HTTP interface of predictions on request: who may ask, and which status each failure has."""

from __future__ import annotations

import hmac
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.errors import (
    BadInputError,
    CollectedError,
    DefinitionError,
    EvergreenError,
    NotReadyError,
    RefusedError,
    SettingsError,
)
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.online.answer import CONNECTIONS, Online
from evergreen.loop.online.metrics import Measures
from evergreen.loop.online.predict import BrokenModelError
from evergreen.loop.online.request import BODY_BYTES, ROWS
from evergreen.settings import Settings

log = logging.getLogger("evergreen.online")

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
RETRY_AFTER = "5"
"""Seconds after which it is worth another try"""
_NAME = re.compile(r"[!-~]{1,128}")
"""Of a request: printable ASCII, as header fields are (RFC 9110)"""


def create_app(
    settings: Settings,
    online: Online,
    *,
    tokens: Sequence[str],
    metrics_token: str | None,
    measures: Measures | None = None,
) -> FastAPI:
    """The application.

    Args:
        settings: where the definitions are.
        online: what answers.
        tokens: each opens all routes but that of the metrics; two while clients change from one to the other.
        metrics_token: opens the metrics; None closes them.
        measures: what the metrics show; new ones by default.
    """
    app = FastAPI(title="Evergreen", docs_url=None, redoc_url=None, openapi_url=None)
    measures = measures or Measures()
    _add_health(app, online)
    _add_metrics(app, measures, metrics_token)
    _add_predictions(app, settings, online, measures, [Depends(_guard(tokens))])
    _add_errors(app)
    return app


def _guard(tokens: Sequence[str]) -> Callable[[str], None]:
    def check(authorization: Annotated[str, Header()] = "") -> None:
        if not _opens(authorization, tokens):
            raise HTTPException(401, "Send 'Authorization: Bearer TOKEN'.", {"WWW-Authenticate": "Bearer"})

    return check


def _opens(authorization: str, tokens: Sequence[str]) -> bool:
    # All are compared, however the first one ends: the time says nothing of them.
    same = [hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()) for token in tokens]
    return any(same)


def _add_health(app: FastAPI, online: Online) -> None:
    """Whether the process is there, and whether it could answer; for orchestrators, which have no token."""

    @app.get("/health")
    def health() -> Response:
        return JSONResponse({"status": "healthy"}, headers=HEADERS)

    @app.get("/ready")
    def ready() -> Response:
        able = online.ready
        return JSONResponse({"ready": able}, 200 if able else 503, headers=HEADERS)


def _add_metrics(app: FastAPI, measures: Measures, token: str | None) -> None:
    @app.get("/metrics")
    def metrics(authorization: Annotated[str, Header()] = "") -> Response:
        if not token or not _opens(authorization, [token]):
            raise HTTPException(401, "Send 'Authorization: Bearer TOKEN' with the token for metrics.")
        return Response(measures.exposition(), media_type=CONTENT_TYPE_LATEST, headers=HEADERS)


def _add_predictions(
    app: FastAPI, settings: Settings, online: Online, measures: Measures, guards: Sequence[Any]
) -> None:
    # The work holds Python's lock most of the time: more threads would only have all requests wait longer.
    limiter = CapacityLimiter(min(CONNECTIONS, (os.cpu_count() or 1) + 1))

    def require(model: str) -> None:
        if model not in list_models(settings.models_dir):
            raise HTTPException(404, f"there is no model {model[:60]!r}")

    @app.get("/v1/models/{model}", dependencies=guards)
    def describe(model: str) -> Response:
        require(model)
        definition = load_definition(model, settings.models_dir)
        return JSONResponse(_description(definition, online), headers=HEADERS)

    @app.post("/v1/models/{model}/predictions", dependencies=guards)
    async def predictions(
        model: str, request: Request, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        begun = time.perf_counter()
        require(model)
        if idempotency_key is not None and not _NAME.fullmatch(idempotency_key):
            raise HTTPException(400, "Idempotency-Key must be 1 to 128 printable characters without spaces")
        body = await _body(request)
        try:
            definition = load_definition(model, settings.models_dir)
            answer = await to_thread.run_sync(online.answer, definition, body, idempotency_key, limiter=limiter)
        except Exception as error:
            measures.refused(model, _outcome(error)[1] if isinstance(error, EvergreenError) else "failed")
            raise
        measures.answered(model, answer.version, len(answer.predictions), time.perf_counter() - begun)
        return JSONResponse(asdict(answer), headers=HEADERS)


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {BODY_BYTES:,} bytes; send fewer rows at once")
        parts.append(part)
    return b"".join(parts)


def _description(definition: ModelDefinition, online: Online) -> dict[str, Any]:
    serving, feed = online.champion(definition.name), definition.feed
    return {
        "model": definition.name,
        "title": definition.title,
        "task": definition.task,
        "target": definition.target,
        "version": serving.version if serving else None,
        "served_from": serving.served_from.isoformat() if serving else None,
        "columns": feed.landed_columns("inputs"),
        "entity": list(feed.made.entity) or feed.entity,
        "event_time": list(feed.made.event_time) or feed.event_time,
        "max_rows": ROWS,
    }


def _outcome(error: EvergreenError) -> tuple[int, str]:
    """Status of the answer, and the word for it in metrics."""
    if isinstance(error, RefusedError):
        return 409, "conflict"
    if isinstance(error, DefinitionError | SettingsError | BrokenModelError | CollectedError):
        return 500, "failed"
    if isinstance(error, BadInputError):
        return 422, "bad_input"
    return 503, "not_ready" if isinstance(error, NotReadyError) else "unavailable"


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(EvergreenError)
    async def said(request: Request, error: EvergreenError) -> Response:
        status, _ = _outcome(error)
        if status >= 500:
            log.error("%s: %s", request.url.path, error)
        content: dict[str, Any] = {"error": str(error)}
        if isinstance(error, UnfitFileError):
            content["failures"] = [failure.to_json() for failure in error.failures]
        headers = HEADERS | ({"Retry-After": RETRY_AFTER} if status == 503 else {})
        return JSONResponse(content, status, headers)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, HEADERS | dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("%s", request.url.path, exc_info=error)
        return JSONResponse({"error": "the server failed; its log says why"}, 500, HEADERS)
