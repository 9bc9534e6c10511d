"""Addresses of what a mail points to."""

from __future__ import annotations

from urllib.parse import quote

from evergreen.core.ledger.outbox import Links
from evergreen.core.store.page_links import openable, page_root, report
from evergreen.settings import Settings


def complete(links: Links, *, kind: str, model: str, settings: Settings) -> Links:
    """`links` with what is missing or cannot be opened put right, for a person with a browser and a login to Airflow.

    Runbook and life of the model are by default the pages that this deployment serves itself; a report that lies in
    the store is addressed by the page that serves it.
    """
    root = page_root(settings)
    return Links(
        form=openable(links.form),
        log=openable(links.log),
        report=report(links.report, settings),
        model=openable(links.model),
        runbook=openable(links.runbook) or f"{root}/runbooks/{quote(kind, safe='')}",
        page=openable(links.page) or f"{root}/models/{quote(model, safe='')}",
    )
