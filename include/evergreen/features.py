"""What a team's `features.py` may import: joins that are right at a point in time.

from evergreen.features import as_of

inputs = as_of(inputs, references["prices"], by="product", at="ordered_at", valid_from="valid_from")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["as_of"]

By = str | Sequence[str] | Mapping[str, str]


def as_of(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    by: By,
    at: str | None = None,
    valid_from: str | None = None,
    columns: Sequence[str] | None = None,
    prefix: str = "",
) -> pd.DataFrame:
    """`rows` with the columns of the row of `table` that was valid for each: in their order, with their index.

    A row of `table` is valid from its `valid_from` (that instant included) until the next of its key begins. Without
    `valid_from` it always is, and the key alone decides. If there is no such row, or a key or the time is missing, the
    columns are missing. A row gets the same alone as among others, whatever the order of either table.

    Args:
        rows: inputs or history.
        table: a reference, as `build` gets it.
        by: columns that both have and that are equal in a row and its partner; or {column of rows: column of table}.
        at: column of `rows` with the time for which the partner is looked up: mostly the feed's event time. Needed if
            `valid_from` is given.
        valid_from: column of `table`.
        columns: of `table` to add; all but `by` by default.
        prefix: stands before the names of the columns that are added.

    Returns:
        A copy. Added columns have the dtypes of `table`, but booleans are the nullable `boolean`.

    Raises:
        KeyError: a column is not there.
        ValueError: a name would stand twice, types do not fit, or `table` has several rows for one key and time.
    """
    pairs = {by: by} if isinstance(by, str) else dict(by) if isinstance(by, Mapping) else {name: name for name in by}
    if (at is None) != (valid_from is None):
        raise ValueError("as_of: give both `at` and `valid_from`, or neither")
    wanted = [name for name in table.columns if name not in pairs.values()] if columns is None else list(columns)
    _check(rows, table, pairs, at, valid_from, wanted, prefix)
    ours, theirs = _codes(rows, table, pairs)
    _see_unique(table, theirs, valid_from, pairs)
    if at is None or valid_from is None:
        places = _by_key(ours, theirs)
    else:
        places = _by_time(rows[at], table[valid_from], ours, theirs)
    found = rows.copy()
    for name in wanted:
        found[prefix + name] = _taken(table[name], places).set_axis(rows.index)
    return found


def _check(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    pairs: Mapping[str, str],
    at: str | None,
    valid_from: str | None,
    wanted: Sequence[str],
    prefix: str,
) -> None:
    import pandas as pd

    for frame, names in (
        (rows, [*pairs, *([at] if at else [])]),
        (table, [*pairs.values(), *([valid_from] if valid_from else []), *wanted]),
    ):
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise KeyError(f"as_of: there is no column {', '.join(missing)}; there are {', '.join(frame.columns)}")
    twice = [prefix + name for name in wanted if prefix + name in rows.columns]
    if twice:
        raise ValueError(f"as_of: rows have {', '.join(twice)} already; choose `columns`, or give a `prefix`")
    for name, frame in ((at, rows), (valid_from, table)):
        if name is not None and not pd.api.types.is_datetime64_any_dtype(frame[name]):
            raise ValueError(f"as_of: {name} is no column of times ({frame[name].dtype})")


def _codes(
    rows: pd.DataFrame, table: pd.DataFrame, pairs: Mapping[str, str]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A number for each key that is the same in both tables; -1 if a part of the key is missing."""
    import numpy as np
    import pandas as pd

    whole = np.zeros(len(rows) + len(table), dtype=np.int64)
    missing = np.zeros(len(whole), dtype=bool)
    for one, other in pairs.items():
        left, right = rows[one], table[other]
        kinds = {_kind(column) for column in (left, right) if len(column)}
        if len(kinds) > 1:
            raise ValueError(
                f"as_of: {one} holds {_kind(left)} and {other} {_kind(right)}, so that no row would find a partner; "
                "bring them to one type first"
            )
        # As objects, 1 equals 1.0 and texts of any dtype equal each other, as they do for a person.
        alike = left.dtype == right.dtype
        values = pd.concat([s if alike else s.astype(object) for s in (left, right)], ignore_index=True)
        codes, known = pd.factorize(values, use_na_sentinel=True)
        missing |= codes < 0
        whole = pd.factorize(whole * (len(known) + 1) + codes + 1)[0]
    whole[missing] = -1
    return whole[: len(rows)], whole[len(rows) :]


def _kind(column: pd.Series) -> str:
    from pandas.api import types

    if types.is_datetime64_any_dtype(column):
        return "times"
    if types.is_bool_dtype(column):
        return "truth values"
    return "numbers" if types.is_numeric_dtype(column) else "texts"


def _see_unique(
    table: pd.DataFrame, codes: np.ndarray[Any, Any], valid_from: str | None, pairs: Mapping[str, str]
) -> None:
    import pandas as pd

    keyed = pd.DataFrame({"code": codes})
    if valid_from is not None:
        keyed["time"] = table[valid_from].to_numpy()
    if keyed[codes >= 0].duplicated().any():
        said = " and ".join([*pairs.values(), *([valid_from] if valid_from else [])])
        raise ValueError(f"as_of: the table has several rows of one {said}, so that one would be taken at random")


def _by_key(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    known = np.flatnonzero(theirs >= 0)
    places = pd.Index(theirs[known]).get_indexer(pd.Index(ours))
    if not len(known):
        return np.full(len(ours), -1)
    return np.where((places >= 0) & (ours >= 0), known[places], -1)


def _by_time(
    at: pd.Series, valid_from: pd.Series, ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Place in the table of the newest row of the key that begins at or before the time; -1 if there is none.

    `merge_asof` refuses missing and unsorted times and two resolutions, and returns rows in the order of the times.
    """
    import numpy as np
    import pandas as pd

    left = pd.DataFrame({"t": _instants(at), "code": ours, "row": np.arange(len(ours))})
    right = pd.DataFrame({"t": _instants(valid_from), "code": theirs, "place": np.arange(len(theirs))})
    left, right = (frame[(frame["code"] >= 0) & frame["t"].notna()].sort_values("t", kind="stable")
                   for frame in (left, right))  # fmt: skip
    joined = pd.merge_asof(left, right, on="t", by="code", direction="backward", allow_exact_matches=True)
    places = np.full(len(ours), -1)
    found = joined[joined["place"].notna()]
    places[found["row"].to_numpy()] = found["place"].to_numpy(dtype=np.int64)
    return places


def _instants(times: pd.Series) -> Any:
    import pandas as pd

    return pd.to_datetime(times, utc=True).dt.tz_localize(None).astype("datetime64[us]").to_numpy()


def _taken(values: pd.Series, places: np.ndarray[Any, Any]) -> pd.Series:
    from pandas.api import types

    if types.is_bool_dtype(values.dtype):
        values = values.astype("boolean")
    elif types.is_integer_dtype(values.dtype):
        values = values.astype("Int64")
    fresh = values.reset_index(drop=True)
    if not len(fresh):
        return fresh.reindex(range(len(places)))
    taken = fresh.take(places.clip(min=0)).reset_index(drop=True)
    return taken.mask(places < 0)
