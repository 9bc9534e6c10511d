"""What the mails about incomplete and one-sided labels say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.outbox import AlertBody, Table
from evergreen.core.ledger.queries.labels import INCOMPLETE
from evergreen.core.ledger.tables import LabelBias, LabelCoverage, LabelHold
from evergreen.core.names import PartitionKey
from evergreen.core.text import listed, percent, share

MOST_ROWS = 20


@dataclass(frozen=True)
class Line:
    """One partition of the mail."""

    key: PartitionKey
    cause: str
    inputs: int
    labelled: int
    needed: float
    bias: str | None
    """How its labelled rows differ from the others; None if they do not, or nobody has looked"""

    @classmethod
    def of(cls, hold: LabelHold, coverage: LabelCoverage, bias: LabelBias | None) -> Line:
        """From the ledger's rows."""
        said = bias.sentence if bias is not None and bias.one_sided else None
        return cls(hold.key, hold.cause, coverage.inputs, coverage.labelled or 0, hold.needed, said)

    @property
    def sentence(self) -> str:
        """What is wrong with an incomplete one."""
        return f"{share(self.labelled, self.inputs)} have a label, {percent(self.needed)} are needed"


def subject(lines: Sequence[Line]) -> str:
    """What happened, for the mail's subject line."""
    if lines[0].cause == INCOMPLETE:
        also = " and one-sided" if any(line.bias for line in lines) else ""
        return f"labels are incomplete{also}, nothing is learned from them"
    return "labels are one-sided"


def body(definition: ModelDefinition, lines: Sequence[Line]) -> AlertBody:
    """The mail about partitions of which labels are incomplete, or one-sided."""
    incomplete = lines[0].cause == INCOMPLETE
    said = _incomplete(lines) if incomplete else _one_sided(lines)
    biases = [f"{line.key}: {line.bias}." for line in lines if line.bias]
    return AlertBody(
        headline=f"{definition.title}: {subject(lines)}",
        summary=" ".join([said, *biases[:MOST_ROWS], *(_HELD if incomplete else _USED)]),
        facts=[
            ("Feed", definition.feed.name),
            ("Partitions", listed([line.key for line in lines], 8)),
            ("Inputs with a label", "; ".join(share(line.labelled, line.inputs) for line in lines[:8])),
            ("Expected", f"at least {percent(lines[-1].needed)}{_source(definition)}"),
        ],
        table=Table(
            columns=["Partition", "Inputs with a label", "Needed", "Labelled rows against the others"],
            rows=[
                [
                    line.key,
                    share(line.labelled, line.inputs),
                    percent(line.needed),
                    line.bias or "no difference is known",
                ]
                for line in lines[:MOST_ROWS]
            ],
        ),
        next_steps=_next_steps(definition, lines, incomplete),
    )


_HELD = (
    "Until they are complete they train no challenger, measure no loss, prove no harm, decide on no version, and no "
    "features look back on them; the champion goes on serving.",
    "Further partitions join this incident without a mail of their own; an all-clear says that it is over.",
)
_USED = (
    "They are used all the same: whether a part of the rows never gets a label is for a person to know.",
    "No further mail comes about partitions near these; the model's page lists them all.",
)


def _incomplete(lines: Sequence[Line]) -> str:
    one = lines[0]
    return (
        f"Of the accepted inputs of {one.key}, {share(one.labelled, one.inputs)} have a label; at least "
        f"{percent(one.needed)} are needed"
        + (f". The same holds for {listed([line.key for line in lines[1:]], 8)}." if len(lines) > 1 else ".")
    )


def _one_sided(lines: Sequence[Line]) -> str:
    return (
        f"The rows of {listed([line.key for line in lines], 8)} that have a label are no fair sample of their "
        "partition: they differ from those without one."
    )


def _source(definition: ModelDefinition) -> str:
    if definition.feed.labels.complete is not None:
        return ", as feed.labels.complete says"
    return ", by what the partitions before came to (feed.labels.complete is not set)"


def _next_steps(definition: ModelDefinition, lines: Sequence[Line], incomplete: bool) -> list[str]:
    if not incomplete:
        return [
            f"Ask {definition.owner} which rows get no label, and why: the model learns from the others alone.",
            "If the others come later, set feed.labels.complete in model.yaml to the share that they reach in the end.",
        ]
    lowest = min(line.labelled / line.inputs for line in lines)
    return [
        f"Ask {definition.owner} whether the other labels will come. When the partition lands again with them, all "
        "that was held back follows by itself.",
        "If labels always need longer, raise feed.label_delay: then they are asked for when they are known.",
        f"If {percent(lowest)} is all that ever comes, set feed.labels.complete in model.yaml to a little less.",
    ]
