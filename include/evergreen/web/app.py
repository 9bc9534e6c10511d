"""The web application that Airflow mounts under /evergreen. Every route is guarded; none changes anything."""

import logging
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.core.ledger.queries import collected
from evergreen.core.ledger.session import Ledger
from evergreen.core.names import ObjectName, PartitionKey
from evergreen.core.store import Store, layout
from evergreen.errors import BadInputError, DefinitionError, EvergreenError
from evergreen.settings import Settings
from evergreen.web import metrics, model_page, overview, reports, runbooks, verdicts
from evergreen.web.model_charts import SHOWN
from evergreen.web.render import page, root_of

log = logging.getLogger("evergreen.pages")

Identify = Callable[..., Any]
"""A FastAPI dependency: the user who asks; raises HTTPException 401 if nobody is logged in."""
MayRead = Callable[[Any, str], bool]
"""Whether a user may read a model."""


def create_app(
    *,
    settings: Callable[[], Settings],
    identify: Identify,
    may_read: MayRead,
    metrics_token: Callable[[], str | None] = lambda: None,
) -> FastAPI:
    """The application.

    Args:
        settings: where the ledger and the store are; called for each request.
        identify: guards every route but that of the metrics; see `Identify`.
        may_read: what a user may see; other models are not there for them.
        metrics_token: what a scraper of the metrics must send; None closes them.
    """
    app = FastAPI(title="Evergreen", docs_url=None, redoc_url=None, openapi_url=None)
    pages = APIRouter(dependencies=[Depends(identify)])

    def readable(model: str, user: Any) -> ModelDefinition:
        folder = settings().models_dir
        if model not in list_models(folder) or not may_read(user, model):
            raise HTTPException(404, f"There is no model {model!r}, or you may not read it.")
        return load_definition(model, folder)

    _add_pages(pages, settings, identify, may_read, readable)
    _add_files(pages, settings, identify, readable)
    app.include_router(pages)
    _add_metrics(app, settings, metrics_token)
    _add_error_pages(app)
    return app


def _add_metrics(app: FastAPI, settings: Callable[[], Settings], token: Callable[[], str | None]) -> None:
    @app.get("/metrics")
    def all_metrics(authorization: Annotated[str, Header()] = "") -> Response:
        return metrics.answer(settings(), authorization, token())


def _add_pages(
    app: APIRouter,
    settings: Callable[[], Settings],
    identify: Identify,
    may_read: MayRead,
    readable: Callable[[str, Any], ModelDefinition],
) -> None:
    User = Annotated[Any, Depends(identify)]  # noqa: N806 -- a type

    @app.get("/")
    def all_models(request: Request, user: User) -> Response:
        at = settings()
        names = [name for name in list_models(at.models_dir) if may_read(user, name)]
        shown = overview.gather(Ledger.from_settings(at), names, at)
        return page(request, "overview.html.j2", title="Models", shown=shown)

    @app.get("/models/{model}")
    def one_model(request: Request, model: str, user: User, last: int = SHOWN) -> Response:
        at, definition = settings(), readable(model, user)
        with Ledger.from_settings(at).transaction() as session:
            shown = model_page.gather(session, definition, at, last=last)
        return page(request, "model.html.j2", title=definition.title, life=shown)

    @app.get("/models/{model}/verdicts")
    def all_verdicts(request: Request, model: str, user: User, before: int | None = None) -> Response:
        at, definition = settings(), readable(model, user)
        with Ledger.from_settings(at).transaction() as session:
            shown = verdicts.gather(session, definition, at, before=before)
        return page(request, "verdicts.html.j2", title=f"{definition.title}: verdicts", shown=shown)

    @app.get("/dags/{dag_id}")
    def model_of_dag(request: Request, dag_id: str, user: User) -> Response:
        # The tab that Airflow shows on a DAG's page knows the DAG only.
        model = dag_id.partition(".")[0]
        known = model in list_models(settings().models_dir)
        return RedirectResponse(f"{root_of(request)}/models/{model}" if known else f"{root_of(request)}/")

    @app.get("/runbooks/")
    def all_runbooks(request: Request) -> Response:
        return page(request, "runbooks.html.j2", title="Runbooks", titles=runbooks.titles())

    @app.get("/runbooks/{kind}")
    def runbook(request: Request, kind: str) -> Response:
        found = runbooks.read(kind)
        if found is None:
            raise HTTPException(404, f"There is no runbook {kind!r}.")
        return page(request, "runbook.html.j2", title=found.title, runbook=found)


def _add_files(
    app: APIRouter,
    settings: Callable[[], Settings],
    identify: Identify,
    readable: Callable[[str, Any], ModelDefinition],
) -> None:
    User = Annotated[Any, Depends(identify)]  # noqa: N806 -- a type

    def served(name: ObjectName, policy: str) -> Response:
        store = Store.from_settings(settings())
        found = reports.response(store, name, policy)
        if found is None:
            gone = collected.look_up(settings(), [store.uri(name)])
            if gone is not None:
                raise HTTPException(410, f"This {gone.kind} was {collected.sentence(gone)}.")
            raise HTTPException(404, "There is no such report. Was it made by another deployment?")
        return found

    @app.get("/reports/{model}/{key}/{name}")
    def report(model: str, key: str, name: str, user: User) -> Response:
        readable(model, user)
        return served(layout.report(model, PartitionKey(key), name), reports.SANDBOX)

    @app.get("/validation/{model}/{stage}/{key}/{name}")
    def validation(request: Request, model: str, stage: str, key: str, name: str, user: User) -> Response:
        readable(model, user)
        found = layout.join("validation", model, stage, key, name)
        if not name.endswith(".html") or Store.from_settings(settings()).exists(found):
            return served(found, reports.STILL)
        # Results from before there were pages, or that could not be drawn.
        return RedirectResponse(f"{root_of(request)}/{layout.validation_of(found)}")


def _add_error_pages(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        heads = {401: "You are not logged in", 403: "You may not see this", 404: "Not found", 410: "No longer there"}
        head = heads.get(error.status_code, "This did not work")
        said = "This page is for people with a login to Airflow." if error.status_code == 401 else str(error.detail)
        login = _login(request) if error.status_code == 401 else None
        return page(request, "message.html.j2", status=error.status_code, title=head, said=said, login=login)

    @app.exception_handler(EvergreenError)
    def failed(request: Request, error: EvergreenError) -> Response:
        status = 404 if isinstance(error, BadInputError) and not isinstance(error, DefinitionError) else 503
        if status == 503:
            log.error("%s could not be shown: %s", request.url.path, error)
        return page(request, "message.html.j2", status=status, title="This did not work", said=str(error), login=None)


def _login(request: Request) -> str:
    """Airflow's own login, which leads back to the page that was asked for."""
    airflow = root_of(request).rpartition("/")[0]
    return f"{airflow}/api/v2/auth/login?{urlencode({'next': request.url.path})}"
