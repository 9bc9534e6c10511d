"""The page of measured figures, from what lies in bench/results.

python -m bench.lib.figures        writes docs/figures.md; every benchmark that writes its result does the same
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "bench" / "results"
PAGE = PROJECT / "docs" / "figures.md"
MERGED = "decisions"
"""Puts together what other files hold already"""
HEAD = """# Measured figures

Written by the benchmarks from `bench/results/*.json`, where everything else that they measured stands too; nobody
types a figure here. `make bench NAME=...` measures one anew. A bar that is not reached is not lowered.
"""
ABOUT = {
    "chaos": "processes killed and servers stopped at random moments of a replay, then an independent check",
    "check_speed": "`evergreen check` of one drop and of 300 tables, against an earlier release on the same files",
    "dag_import": "what 100 models cost the DAG processor",
    "database_source": "rows of a PostgreSQL table to accepted partitions, against `COPY` to CSV",
    "decisions_bound": "what the best possible test finds of a model that differs by a shift, beside ours",
    "decisions_drift": "input drift on real rows: false alarms, and what is found",
    "decisions_mails": "mails about input drift over a year of each stream, what they lead to, and planted faults",
    "decisions_never_worse": "realised loss over the better of never retraining and retraining each partition",
    "decisions_policy": "harm alarms, retraining policies, bad promotions",
    "decisions_promotion": "challengers that are no better, and challengers that are",
    "demo": "`make demo` from a clean clone, package caches warm",
    "drift_scale": "a drift check of 10 million rows",
    "estimate": "the loss estimated before labels against the realised one",
    "features_scale": "features of 10 million rows",
    "online": "predictions on request over HTTP, on record in PostgreSQL before they are given",
    "outages": "SMTP, MLflow and the DVC remote cut off for ten minutes each, while a week comes in and a model trains",
    "pages": "the pages of 100 models with three years of days and 50 champions each",
    "proposals": "expectations proposed on half a history, held against the other half and broken copies of it",
    "scoring_scale": "scoring 10 million rows",
    "fit_scale": "an own LightGBM on a million rows",
    "soak": "a year landed in random order, late, broken and restated, through a live Airflow",
    "soak_in_process": "a year landed in random order, late, broken and restated, in one process",
    "strangers": "[public files of others](public-files.md), unedited, to a tested model by three commands",
    "upgrade": "a second release (schema and definition) rolls out process by process while weeks land",
    "upgrade_cluster": "the same on Celery, Redis and S3, workers one by one",
    "year_cluster": "a year of weeks through Celery, Redis and S3, two workers that share nothing, then an audit",
    "year": "a year backfilled through the live loop, against the same calls in one process",
}


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if path.stem != MERGED and found.get("bars"):
            parts.append(_section(path.stem, found))
    return "\n".join(parts)


def _section(name: str, found: dict[str, Any]) -> str:
    machine = found["machine"]
    usual = any(bar.get("usual") for bar in found["bars"].values())
    heads = ["", "measured", "bar", "reached", *(["usual tools"] if usual else [])]
    rows = [heads, ["---"] * len(heads)]
    for title, bar in found["bars"].items():
        value = f"{bar['value']:.3g} {bar.get('unit', '')}".strip()
        reached = "yes" if bar["reached"] else "**no**"
        rows.append([title, value, str(bar["bar"]), reached, *([_usual(bar.get("usual") or {})] if usual else [])])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    where = (
        f"{machine['cores']} cores, {machine['memory_gib']:.0f} GB, {found['at'][:10]}, commit {found['commit'][:7]}"
    )
    return f"## {name}\n\n{ABOUT[name][0].upper()}{ABOUT[name][1:]} ({where}).\n\n{table}\n"


def _usual(tools: dict[str, Any]) -> str:
    return ", ".join(f"{tool} {_short(value)}" for tool, value in tools.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name.replace('_', ' ')} {_short(part)}" for name, part in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(PROJECT))


if __name__ == "__main__":
    main()
