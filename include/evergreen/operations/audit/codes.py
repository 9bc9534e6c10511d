"""Each version is fed by the code that it was made from, and a copy of that code is where the ledger says."""

from __future__ import annotations

from collections.abc import Iterator

from evergreen.operations.audit import files
from evergreen.operations.audit.disagreement import Disagreement, Row
from evergreen.operations.audit.ledger_rows import Rows

AREA = "feature code"
RESTORE = "Restore the file from a backup of the store: without it the versions made from it cannot serve."
REPORT = "Report it: a version is fed by the feature code that it was made from."


def check(rows: Rows) -> Iterator[Disagreement]:
    """Compare predictions, shadow losses, requests and datasets with the code of their version; and the copies."""
    for row in rows.other_codes:
        what = f"it was made from features of code {_short(row['code'])}, its version from {_short(row['wanted'])}"
        yield Disagreement(AREA, f"{row['what']} by version {row['version']}", what, REPORT, row["since"])
    for row in rows.mixed_datasets:
        what = f"{row['others']} of its snapshots were built by other feature code than {_short(row['wanted'])}"
        yield Disagreement(AREA, f"training run {row['id']}", what, REPORT, row["started_at"])
    for row in rows.feature_codes:
        yield from _copy(row)


def _copy(row: Row) -> Iterator[Disagreement]:
    data, about = files.read(row["uri"]), f"copy of {_short(row['code_hash'])}"
    if data is None:
        yield Disagreement(AREA, about, f"{row['uri']} is not there", RESTORE, row["kept_at"])
    elif files.sha256(data) != row["content_hash"]:
        what = f"{row['uri']} does not have the SHA-256 {row['content_hash'][:12]} that was recorded"
        yield Disagreement(AREA, about, what, RESTORE, row["kept_at"])


def _short(code_hash: str) -> str:
    return code_hash[:12]
