"""Whether labels and inputs of a partition are about the same entities. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evergreen.core.definition.model import TableName
from evergreen.core.text import plain, share
from evergreen.loop.intake.comparisons.past import Ids
from evergreen.loop.intake.failures import SAMPLE, Failure, breach

if TYPE_CHECKING:
    import pyarrow as pa


def mismatches(
    own: pd.Series, other: Ids, table: TableName, entity: str, unknown: float, covered: float
) -> list[Failure]:
    """What does not fit between `own`, the entities of a partition's `table`, and those of its `other` table.

    Args:
        own: one value for each row.
        other: the accepted rows of the other table.
        table: which of the two is judged. Only labels can be at fault in a way that is critical.
        entity: name of the column.
        unknown: share of labels that the inputs lack, above which this is critical.
        covered: share of inputs that have a label, below which there is a warning.
    """
    import pyarrow as pa

    mine = pa.array(own, from_pandas=True)
    labels, inputs = (mine, other.values) if table == "labels" else (other.values, mine)
    found = [_unknown(labels, inputs, other.name, table, entity, unknown), _covered(labels, inputs, entity, covered)]
    return [failure for failure in found if failure]


def _unknown(labels: Any, inputs: Any, name: str, table: TableName, entity: str, most: float) -> Failure | None:
    rows = np.flatnonzero(~known_among(labels, inputs))
    if not len(rows):
        return None
    beyond = len(rows) / len(labels) > most
    which = name if table == "labels" else "these inputs"
    words = f"have an id that {which} lack" + (f" (at most {100 * most:.3g} % may)" if beyond else "")
    sample = labels.take(rows[:SAMPLE]).to_pylist()
    if table == "inputs":
        # The rows are those of the labels, which have their verdict: it says what is wrong, and changes nothing.
        text = f"{plain(entity)}: {share(len(rows), len(labels))} rows of {name} have an id that {which} lack"
        return Failure("labels_known", entity, "warning", share(len(rows), len(labels)), "ids of inputs", text)
    failure = breach(
        "labels_known", entity, words, rows=rows, total=len(labels), expected="ids of inputs", sample=sample
    )
    # It depends on the inputs of today, so it is about the table and takes no single rows out of it.
    return replace(failure, severity="critical" if beyond else "warning", rule="", bad=None)


def _covered(labels: Any, inputs: Any, entity: str, least: float) -> Failure | None:
    known = int(np.count_nonzero(known_among(inputs, labels)))
    if known >= least * len(inputs):
        return None
    said, expected = share(known, len(inputs)), f"at least {100 * least:.3g} %"
    sentence = f"{plain(entity)}: {said} inputs have a label, expected {expected}"
    return Failure("inputs_covered", entity, "warning", said, expected, sentence)


def known_among(
    values: pa.Array | pa.ChunkedArray, among: pa.Array | pa.ChunkedArray
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of `values` are among the others: bool, as long as `values`; a null is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    among = among.combine_chunks() if isinstance(among, pa.ChunkedArray) else among
    if isinstance(among, pa.ChunkedArray):  # no chunk at all
        among = pa.array([], among.type)
    found = pc.is_in(values, value_set=among.cast(values.type), skip_nulls=True)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
