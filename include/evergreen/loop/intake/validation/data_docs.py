"""Great Expectations' Data Docs page of one validation, from its kept result.

The contents and their layout are Great Expectations' own renderer's. Two things are not: its templates put values of
the data into the page unescaped, and its page loads styles and scripts from seven hosts. Here every template escapes,
and one page of ours stands around the sections: it has no script, loads nothing, and allows nothing to be loaded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from evergreen.core.names import ObjectName, Uri
from evergreen.core.store import Store, layout
from evergreen.core.text import plain
from evergreen.core.values import VerdictOutcome

log = logging.getLogger("evergreen.intake")

TEMPLATES = Path(__file__).parent / "templates"
_VALUE = 200


@dataclass(frozen=True)
class Heading:
    """What is said above Great Expectations' own sections."""

    title: str
    outcome: VerdictOutcome | Literal["refused"]
    reason: str
    facts: Sequence[tuple[str, str]] = ()


def keep(store: Store, results_name: ObjectName, results: str, heading: Heading) -> Uri | None:
    """Write the page of the result `results` (JSON text) beside it, and return its URI.

    A verdict does not hang on its page: if Great Expectations cannot draw a result, the log says so, the result is
    kept all the same, and None is returned.
    """
    try:
        data = page(results, heading).encode()
    except Exception as error:
        log.warning("the validation has no page, its result is kept without: %s", plain(repr(error), 200))
        return None
    return store.write(layout.data_docs(results_name), data)


def page(results: str, heading: Heading) -> str:
    """The page as HTML. `results` is a validation's result as `suite.run_suite` gives it, JSON text."""
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    content = json.loads(results)
    failed = {item["expectation_config"]["kwargs"].get("column") for item in content["results"] if not item["success"]}
    content["meta"].setdefault("batch_spec", {})["data_asset_name"] = heading.title
    validation = expectationSuiteValidationResultSchema.load(_showable(content))
    document = ValidationResultsPageRenderer().render(validation)
    html: str = _view().render(document, template="data_docs.html.j2", heading=heading, failed=failed)
    return "\n".join(line for line in map(str.strip, html.splitlines()) if line)


def _showable(content: dict[str, Any]) -> dict[str, Any]:
    """`content` with every text from the data on one line, cut, and without characters that hide or turn others."""
    for item in content["results"]:
        item["result"] = _plain(item.get("result") or {})
        info = item.get("exception_info") or {}
        for part in (info, *info.values()):
            if isinstance(part, dict) and "raised_exception" in part:
                message = plain(part.get("exception_message") or "", _VALUE)
                # The kept result has no traceback, and the renderer wants one.
                part.update(exception_message=message, exception_traceback="")
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {plain(key, _VALUE): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return plain(value, _VALUE) if isinstance(value, str) else value


@cache
def _view() -> Any:
    """Great Expectations' view with its templates escaping what is not markup of its own."""
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import pass_context
    from markupsafe import Markup, escape

    class EscapingView(DefaultJinjaPageView):  # type: ignore[misc]  # the library is untyped
        def __init__(self) -> None:
            super().__init__(custom_views_directory=str(TEMPLATES))
            self.env.autoescape = True

        def render_string_template(self, template: Any) -> Any:
            if not isinstance(template, dict):
                return template
            # A column's name is a template's text. Great Expectations' own texts hold no markup.
            text = str(escape(template.get("template", "")))
            return Markup(super().render_string_template({**template, "template": text}))  # noqa: S704

        @pass_context
        def render_content_block(self, jinja_context: Any, content_block: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(content_block, list):
                content_block = [item if _is_component(item) else escape(str(item)) for item in content_block]
            elif not _is_component(content_block):
                return content_block
            return Markup(super().render_content_block(jinja_context, content_block, *args, **kwargs))  # noqa: S704

        def render_styling(self, styling: Mapping[str, Any]) -> Any:
            # Links lead to other pages of a Data Docs site, which is not there.
            kept = {
                name: value
                for name, value in (styling.get("attributes") or {}).items()
                if name != "href" and not name.startswith("on")
            }
            return Markup(super().render_styling({**styling, "attributes": kept}))  # noqa: S704

        def attributes_dict_to_html_string(self, attributes_dict: dict[str, Any], prefix: str = "") -> Any:
            return Markup(super().attributes_dict_to_html_string(attributes_dict, prefix))  # noqa: S704

    return EscapingView()


def _is_component(value: Any) -> bool:
    return isinstance(value, dict) and "content_block_type" in value
