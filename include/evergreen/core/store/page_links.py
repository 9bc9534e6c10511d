"""Addresses at which a person opens what lies in the store, and in MLflow's registry."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from evergreen.settings import Settings

PAGES = "evergreen"
"""Path below Airflow's base address at which the pages are served."""
SERVED = ("reports/", "validation/")
"""Objects of the store that a page serves, by the beginning of their names."""


def page_root(settings: Settings) -> str:
    """Address of the pages' overview, without a slash at its end."""
    return f"{settings.airflow_url.rstrip('/')}/{PAGES}"


def report(uri: str | None, settings: Settings) -> str | None:
    """Address at which a person opens the report `uri`: an object's URI in the store, or already an address."""
    root = settings.store_url.rstrip("/") + "/"
    if uri is not None and uri.startswith(root):
        name = uri.removeprefix(root)
        return f"{page_root(settings)}/{quote(name)}" if name.startswith(SERVED) else None
    return openable(uri)


def version_page(settings: Settings, model: str, version: int) -> str:
    """Address at which a person opens a registered version in MLflow."""
    return f"{model_page(settings, model)}/versions/{version}"


def model_page(settings: Settings, model: str) -> str:
    """Address at which a person opens a registered model in MLflow."""
    root = settings.mlflow_pages_url or settings.mlflow_url
    return f"{root.rstrip('/')}/#/models/{model}"


def openable(url: str | None) -> str | None:
    """`url` if it is one that a browser opens over the web, else None."""
    return url if url and urlsplit(url).scheme in ("http", "https") else None
