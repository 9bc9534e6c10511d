"""The page of public files that were tried, from bench/results/strangers.json.

python -m bench.lib.public_files_page        writes docs/public-files.md; the benchmark `strangers` does the same
"""

from __future__ import annotations

import json
from typing import Any

from bench.lib.figures import PROJECT, RESULTS
from bench.lib.public_files import FIRST

PAGE = PROJECT / "docs" / "public-files.md"
HEAD = """# Public files that were tried

Written by `evergreen bench strangers` from `bench/results/strangers.json`. Each file is taken out of a package of the
registry as it is, and nobody edits it. A person types three commands: `evergreen new NAME --data FILE` with the options
of the table, `evergreen feed land NAME --data FILE`, and `evergreen test NAME`. *Model* means that all three ended
well: the rows lie in partitions, the folder's expectations accept them, and features, candidates and the gate pass
their tests. The list was written down before any file was tried, and a file that is refused stays in it. None of the
files is part of this repository; `bench/lib/packaged.py` fetches them, pinned.
"""


def page() -> str:
    """The page as Markdown."""
    files = json.loads((RESULTS / "strangers.json").read_text(encoding="utf-8"))["measured"]["files"]
    models = [one["outcome"] == "model" for one in files]
    told = f"Of the first {FIRST}, {sum(models[:FIRST])} become a model; of all {len(files)}, {sum(models)}."
    heads = ["", "package", "file", "licence of the package", "rows landed", "typed", "outcome"]
    rows = [heads, ["---"] * len(heads), *(_row(number, one) for number, one in enumerate(files, start=1))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([HEAD, told, "", table, "", *_refusals(files)])


def _row(number: int, one: dict[str, Any]) -> list[str]:
    name = one["file"].rpartition("/")[2]
    rows = f"{one['rows']:,}" if one["rows"] is not None else ""
    told = [str(number), f"{one['package']} {one['version']}", f"`{name}`", one["licence"], rows, f"`{one['typed']}`"]
    return [*(_cell(text) for text in told), one["outcome"]]


def _refusals(files: list[dict[str, Any]]) -> list[str]:
    refused = [(number, one) for number, one in enumerate(files, start=1) if one["outcome"] != "model"]
    if not refused:
        return []
    parts = ["## What was said of those that become none", ""]
    for number, one in refused:
        right = f"Rightly: {one['why_refused']}." if one["why_refused"] else "It should become one."
        parts += [
            f"{number}. `{one['file'].rpartition('/')[2]}`, {one['outcome']}. {right}",
            "",
            f"   > {one['said']}",
            "",
        ]
    return parts


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(PROJECT))


if __name__ == "__main__":
    main()
