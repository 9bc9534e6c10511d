"""Classes that came and classes that went: labels that the version does not know, and what has no label now. Pure."""

from __future__ import annotations

import pandas as pd

from evergreen.core.text import listed, percent, quoted_name
from evergreen.loop.training.classes import classes_in

EXPECTED = 10.0
"""Labels of a class that its share in the reference makes usual in a partition, from which on none at all is said."""


def class_changes(labelled: pd.DataFrame | None, reference: pd.DataFrame) -> tuple[str, ...]:
    """What is to be said of the classes of a partition's labels, a sentence each.

    Args:
        labelled: column `target` (names of classes) of the rows that a version predicted.
        reference: that of the version: `target`, and the probabilities of the classes it knows.
    """
    known = classes_in(reference.columns)
    if labelled is None or labelled.empty or not known:
        return ()
    counts = labelled["target"].astype(str).value_counts()
    said = []
    new = counts[~counts.index.isin(known)]
    if len(new):
        names = listed([f"{quoted_name(str(name))} ({count:,})" for name, count in new.items()], 5)
        said.append(
            f"{new.sum():,} of {len(labelled):,} labels ({percent(new.sum() / len(labelled))}) are of classes that "
            f"this version does not know: {names}. They count as lost; a training learns those with rows enough"
        )
    shares = reference["target"].astype(str).value_counts(normalize=True)
    gone = [name for name in known if name not in counts and shares.get(name, 0.0) * len(labelled) >= EXPECTED]
    if gone:
        names = listed([f"{quoted_name(name)} (usually {percent(float(shares[name]))})" for name in gone], 5)
        said.append(f"no label is of the class {names}")
    return tuple(f"{sentence[0].upper()}{sentence[1:]}." for sentence in said)
