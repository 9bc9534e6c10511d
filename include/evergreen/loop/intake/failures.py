"""What is wrong with a partition, in words that a person understands.

Everything quoted from a file passes through `plain`: it may be of any length and hold any character.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from evergreen.core.text import plain, quoted, share
from evergreen.errors import BadInputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Severity = Literal["critical", "warning"]
SAMPLE = 5
_REASON_FAILURES = 4


@dataclass(frozen=True)
class Failure:
    """One expectation that does not hold. `sentence` says it all; the other fields are its parts, for machines."""

    name: str
    """The rule: a Great Expectations type, or the name of a structural rule"""
    column: str | None
    severity: Severity
    observed: str
    expected: str
    sentence: str
    count: int | None = None
    """Rows that break the rule, if it is about rows"""
    sample: tuple[str, ...] = ()
    """Some of the values that break it"""
    rows: tuple[int, ...] = ()
    """Positions (from 0) of some of the rows that break it"""
    rule: str = ""
    """What is wrong with a row that breaks it, if it is about rows"""
    bad: np.ndarray[tuple[int], np.dtype[np.intp]] | None = field(default=None, compare=False, repr=False)
    """Positions of all rows that break a rule which every row has to keep; None if it is about the table"""

    def to_json(self) -> dict[str, Any]:
        """Plain types only, as the ledger keeps it; without `rule` and `bad`, which stand by the rows themselves."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("rule", "bad")}
        return kept | {"sample": list(self.sample), "rows": list(self.rows)}

    @classmethod
    def from_json(cls, parts: Mapping[str, Any]) -> Failure:
        """The failure that `to_json` gave, `rule` too if it stands beside the rest."""
        return cls(**{**parts, "sample": tuple(parts["sample"]), "rows": tuple(parts["rows"])})


class UnfitFileError(BadInputError):
    """A landed file cannot be read as the table it should be; `failures` says why."""

    def __init__(self, *failures: Failure) -> None:
        super().__init__("; ".join(f.sentence for f in failures))
        self.failures = failures


def unfit(name: str, sentence: str, *, observed: str = "", expected: str = "", column: str | None = None) -> Failure:
    """A critical failure of the whole file or of one column."""
    return Failure(name, column, "critical", observed, expected, sentence)


def breach(
    name: str,
    column: str,
    sentence: str,
    *,
    rows: np.ndarray[tuple[int], np.dtype[np.intp]],
    total: int,
    expected: str,
    sample: Iterable[Any] = (),
    bad: np.ndarray[tuple[int], np.dtype[np.intp]] | None = None,
    hint: str = "",
) -> Failure:
    """A critical failure of some rows of one column; `sentence` continues after "column: 3 of 100 rows (3 %) ".

    `rows` are the positions of all of them; `bad` of those that cannot be accepted, if these are others. `hint` says
    what to do, after the samples.
    """
    shown = tuple(dict.fromkeys(map(quoted, sample)))[:SAMPLE]
    such = f", such as {', '.join(shown)}" if shown else ""
    text = f"{plain(column)}: {share(len(rows), total)} rows {sentence}{such}{hint and f'; {hint}'}"
    return Failure(
        name,
        column,
        "critical",
        share(len(rows), total),
        expected,
        text,
        len(rows),
        shown,
        tuple(map(int, rows[:SAMPLE])),
        f"{plain(column)}: rows {sentence}",
        rows if bad is None else bad,
    )


def refuse_rows(
    name: str,
    values: pa.Array,
    mask: pa.Array,
    sentence: str,
    expected: str,
    *,
    rule: str = "column_type",
    hint: str = "",
) -> None:
    """Raise UnfitFileError if `mask` holds for any row (null counts as no), with their number and some values."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
    if len(rows):
        sample = values.take(pa.array(rows[:SAMPLE])).to_pylist()
        raise UnfitFileError(
            breach(rule, name, sentence, rows=rows, total=len(values), expected=expected, sample=sample, hint=hint)
        )


def reason(failures: Sequence[Failure]) -> str:
    """The sentences of the worst few failures, and how many more there are."""
    shown = [f.sentence for f in failures[:_REASON_FAILURES]]
    more = len(failures) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def critical(failures: Iterable[Failure]) -> list[Failure]:
    """Those that quarantine."""
    return [f for f in failures if f.severity == "critical"]
