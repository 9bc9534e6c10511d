"""The text of a new model's files. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from evergreen.core.definition.local_days import UTC
from evergreen.core.definition.made import EVENT_TIME
from evergreen.core.definition.model import GateSection
from evergreen.core.text import plain
from evergreen.tools.propose.python_source import literal
from evergreen.tools.scaffold.plan import HOURLY, Plan

_PLAIN = re.compile(r"[^\W\d][\w .()/-]*")


def texts(plan: Plan) -> dict[str, str]:
    """File name -> its text."""
    return {
        "model.yaml": definition(plan),
        "features.py": features(plan),
        "expectations.py": expectations(plan),
        "README.md": readme(plan),
    }


def title(plan: Plan) -> str:
    """A few words for people, from the model's name."""
    return plan.asked.name.replace("_", " ").capitalize()


def definition(plan: Plan) -> str:
    """`model.yaml`."""
    asked = plan.asked
    bad_rows = [f"      max_bad_rows: {plan.max_bad_rows:g} # copies of rows: they alone go to quarantine"]
    bad_rows = bad_rows if plan.max_bad_rows else []
    lines = [
        "# Fields, defaults and units: docs/model-definition.md",
        f"name: {asked.name}",
        f"title: {scalar(title(plan))}",
        f"owner: {scalar(asked.owner)}",
        f"task: {plan.task}",
        f"target: {scalar(asked.target)}",
        "",
        "calendar:",
        f"  period: {plan.period}",
        *_clock(plan),
        f"  start: {plan.start}",
        *([f"  end: {plan.end} # leave it out for a feed that goes on"] if plan.end else []),
        "",
        "feed:",
        f"  name: {asked.name}",
        f"  entity: {_entity(plan)}",
        f"  event_time: {_time(plan)}",
        f"  label_delay: {asked.label_delay} # {plan.period}s between the end of a partition and its labels",
        *([f"  labels: {{complete: {plan.complete:g}}} {_LABELS}"] if plan.complete is not None else []),
        *(["  csv: # how text files are written", *_csv(plan.csv)] if plan.csv else []),
        "  tables:",
        "    inputs: # known when a prediction is needed",
        *bad_rows,
        "      columns:",
        *(f"        {scalar(name)}: {kind}" for name, kind in plan.inputs.items()),
        "    labels: # known afterwards",
        *bad_rows,
        "      columns:",
        *(f"        {scalar(name)}: {kind}" for name, kind in plan.labels.items()),
        "",
        "features:",
        "  look_back: 0 # partitions of inputs and labels that features.py gets as `history`",
        *_listed("numeric", [*plan.numeric, *plan.derived]),
        *_listed("categorical", plan.categorical),
        "",
        *([_window(plan), f"  window: {plan.window}", ""] if plan.window else []),
        *_gate(plan),
        *(_hourly(plan) if plan.period == "hour" else _monitoring(plan)),
        "alerts:",
        f"  to: [{scalar(asked.mail)}]",
    ]
    return "\n".join(lines) + "\n"


def _csv(declared: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in declared.items():
        parts = value if isinstance(value, dict) else {}
        lines.append(f"    {name}:" + ("" if parts else f" {json.dumps(value, ensure_ascii=False)}"))
        lines += [f"      {scalar(column)}: {json.dumps(form, ensure_ascii=False)}" for column, form in parts.items()]
    return lines


def _clock(plan: Plan) -> list[str]:
    zone = [f"  timezone: {scalar(plan.asked.timezone)} # of the days, and of times without a zone"]
    which = [f"  repeated_hour: {plan.repeated_hour} # of the two that a time of autumn may mean"]
    return zone * (plan.asked.timezone != UTC) + which * (plan.repeated_hour is not None)


def _entity(plan: Plan) -> str:
    if plan.content:
        return "none # nothing names a row but its content: labels land all columns of the inputs too"
    if plan.joined:
        return f"[{', '.join(map(scalar, plan.joined))}] # together they name a row: {plan.entity} is made of them"
    return scalar(plan.entity)


def _time(plan: Plan) -> str:
    parts = plan.asked.time_parts
    return f"[{', '.join(map(scalar, parts))}] # {EVENT_TIME} is made of them" if parts else scalar(plan.asked.time)


def _monitoring(plan: Plan) -> list[str]:
    return [_MONITORING, f"  min_new_rows: {plan.min_new_rows}", ""] if plan.min_new_rows else []


def _hourly(plan: Plan) -> list[str]:
    """What is counted in partitions, if they are hours."""
    watched = [f"  {name}: {HOURLY[name]}" for name in ("cool_down", "refresh", "max_age")]
    rows = [f"  min_new_rows: {plan.min_new_rows}"] if plan.min_new_rows else []
    return ["monitoring: # in hours", *watched, *rows, ""]


def _gate(plan: Plan) -> list[str]:
    if plan.holdout == GateSection.model_fields["holdout"].default:
        return []
    return ["gate:", f"  holdout: {plan.holdout} # a week of {plan.period}s: rows of one day fail together", ""]


_LABELS = "# share of the inputs that must have a label: less than half of the file's rows have one"
_MONITORING = "monitoring: # as many as land until a challenger is due: the default would be too long in coming"


def _window(plan: Plan) -> str:
    if plan.period == "hour":
        return "training: # in hours"
    return f"training: # an ordinary {plan.period} has {plan.rows:,} rows: the default window holds too few to train on"


def _listed(name: str, columns: list[str]) -> list[str]:
    return [f"  {name}:", *(f"    - {scalar(column)}" for column in columns)] if columns else []


def scalar(text: str) -> str:
    """`text` as YAML: bare if that reads back as the same text."""
    bare = _PLAIN.fullmatch(text) and not text.endswith(" ") and yaml.safe_load(text) == text
    return text if bare else json.dumps(text, ensure_ascii=False)


def features(plan: Plan) -> str:
    """`features.py`."""
    kept = [*plan.numeric, *plan.categorical]
    ids = [plan.entity, plan.asked.time]
    what = ["the inputs as they are"] * bool(kept) + ["when the event was"] * bool(plan.derived)
    left = "".join(f"# Not a feature: {plain(name)}: {plain(reason, 300)}.\n" for name, reason in plan.left_out.items())
    derived = {"event_weekday": "dayofweek", "event_hour": "hour"}
    body = [f"    features = inputs[[{', '.join(map(literal, ids))}, *AS_THEY_ARE]].reset_index(drop=True)"]
    zone = "" if plan.asked.timezone == UTC else f".dt.tz_convert({literal(plan.asked.timezone)})"
    body += [
        f"    features[{literal(name)}] = features[{literal(plan.asked.time)}]{zone}.dt.{derived[name]}  # {about}"
        for name, about in plan.derived.items()
    ]
    return f'''"""Features of {title(plan)}: {" and ".join(what)}."""

from __future__ import annotations

import pandas as pd

{left}AS_THEY_ARE = [
{"".join(f"    {literal(name)},{chr(10)}" for name in kept)}]


def build(inputs: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Features of `inputs`, one row each, in the same order.

    Args:
        inputs: accepted inputs of one partition.
        history: inputs joined with labels of the `features.look_back` partitions that were due before this one began
            (model.yaml; now none). Averages of the target by group, or its last value, belong here.
    """
{chr(10).join(body)}
    return features
'''


def expectations(plan: Plan) -> str:
    """`expectations.py`: comparisons with the partitions before, and nothing that only the team can know."""
    covered = min(0.9, round(0.9 * plan.covered, 2))
    # Dates without an hour end at the last midnight: no partition would reach its period's end.
    period = "PeriodCovered(), " if plan.hours else ""
    names = ", ".join(["MatchesInputs", "Nulls", *["PeriodCovered"] * plan.hours, "RowCount"])
    return f'''"""What a {plan.period} of {plan.asked.name} looks like: as those before it.

Let `evergreen expectations propose` write ranges and sets from what has landed, and correct them.
"""

from typing import Any

from evergreen.expectations import {names}


def inputs() -> list[Any]:
    """Expectations on the inputs."""
    return [RowCount(), {period}Nulls()]


def labels() -> list[Any]:
    """Expectations on the labels."""
    return [RowCount(), {period}Nulls(), MatchesInputs(covered={covered})]


def features() -> list[Any]:
    """Expectations on what `features.py` builds: a row for each row of inputs."""
    return []
'''


def readme(plan: Plan) -> str:
    """`README.md`."""
    return f"""# {title(plan)}

Predicts `{plan.asked.target}` ({plan.task}) for each {_row(plan)}, {plan.period} by {plan.period}.
Say here where the data comes from, who uses the predictions, and what a wrong one costs.

| File | Says |
|---|---|
| `model.yaml` | which columns land, which features there are, when to retrain, whom to tell |
| `features.py` | `build(inputs, history)`: the features of one {plan.period} |
| `expectations.py` | what inputs, labels and features must look like, and what is compared with those before |
{_joining(plan)}"""


def _row(plan: Plan) -> str:
    if plan.content:
        return "row"
    return " and ".join(f"`{name}`" for name in plan.joined or (plan.entity,))


def _joining(plan: Plan) -> str:
    """How labels find their rows, if no column names them."""
    if plan.content:
        return f"""
## The id of a row

Nothing names a row but its content: Evergreen makes the column `{plan.entity}` of all columns of the inputs. So labels
land these columns too, with the same values; equal rows are counted.
"""
    if not plan.joined:
        return ""
    return f"""
## The id of a row

{", ".join(f"`{name}`" for name in plan.joined)} together name a row: inputs and labels both land them, and Evergreen
makes the column `{plan.entity}` of them. Predictions have it, and these columns too.
"""
