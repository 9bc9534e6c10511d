"""Tests of what `build` reads beside inputs and history: that it reads no row too early, and bears an empty table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.core.text import quoted_name
from evergreen.errors import BadInputError
from evergreen.loop.features.beside import REFERENCES, arguments, frames_of, mapped
from evergreen.tools.model_test.feature_tests import Subject
from evergreen.tools.model_test.perturb import moved
from evergreen.tools.model_test.result import BrokenError, SkipError

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.core.definition.references import ReferenceSection


def nothing_not_yet_valid(subject: Subject) -> str:
    """A row of a reference that becomes valid after an event does not change the event's features."""
    event_time = subject.definition.feed.event_time
    times = subject.inputs[event_time]
    middle = times.sort_values().iloc[(len(times) - 1) // 2]
    sections = {n: s for n, s in subject.definition.feed.references.items() if s.valid_from is not None}
    if not sections:
        raise SkipError("no reference has a column valid_from")
    tables = dict(subject.beside[REFERENCES])
    for name, section in sections.items():
        tables[name] = _with_later_rows(tables[name], section, middle)
    found = subject.build(subject.inputs, beside={**subject.beside, REFERENCES: tables})
    earlier = (times <= middle).to_numpy()
    subject.must_equal(
        subject.features[earlier].reset_index(drop=True),
        found[earlier].reset_index(drop=True),
        f"before and after rows that are valid from later on were added to {', '.join(sections)}. Join references as "
        "of the event time: evergreen.features.as_of(..., at=event_time, valid_from=...)",
    )
    return f"{int(earlier.sum()):,} rows do not see what {', '.join(sections)} say later"


def _with_later_rows(table: pd.DataFrame, section: ReferenceSection, instant: Any) -> pd.DataFrame:
    """The table, and for each of its keys a row with other values that is valid from just after `instant`."""
    import pandas as pd

    keys, since = list(section.key), str(section.valid_from)
    later = table.sort_values(since).drop_duplicates(keys, keep="last").copy()
    later[since] = (later[since].where(later[since] > instant, instant) + pd.Timedelta(microseconds=1)).astype(
        table[since].dtype
    )
    free = {name: str(kind) for name, kind in section.columns.items() if name not in (*keys, since)}
    kept = table[table[since] <= instant]
    return pd.concat([kept, moved(later, free)], ignore_index=True).astype(table.dtypes.to_dict())


def empty_tables(subject: Subject) -> str:
    """`build` bears that no version of a reference was known, and that no inputs came before."""
    empty = mapped(subject.beside, lambda frame: frame.iloc[:0].reset_index(drop=True))
    try:
        found = subject.build(subject.inputs, beside=empty)
    except BadInputError as error:
        raise BrokenError(
            f"without a row in {', '.join(frames_of(empty))}, as for the first partitions: {error}. Return missing "
            "values instead"
        ) from None
    endless = [c for c in subject.definition.features.numeric if np.isinf(found[c].to_numpy()).any()]
    if endless:
        raise BrokenError(f"without a row in them, feature {quoted_name(endless[0])} is infinite: return NaN instead")
    return f"{', '.join(frames_of(empty))} may be empty"


TESTS: tuple[tuple[str, Callable[[Subject], str]], ...] = (
    ("no row of a reference is read before it is valid", nothing_not_yet_valid),
    ("references and recent inputs may be empty", empty_tables),
)


def tests_of(subject: Subject | None) -> tuple[tuple[str, Callable[[Subject], str]], ...]:
    """The tests of this model; none if it reads nothing beside inputs and history."""
    return TESTS if subject is not None and arguments(subject.definition) else ()
