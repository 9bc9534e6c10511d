"""What the loop has on record, as pandas frames: for a notebook. Nothing here writes.

from evergreen.data import Model

flights = Model("nyc_flights")
flights.predictions("2013-09-02").merge(flights.labels("2013-09-02"), on=["partition", "flight_id"])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.ledger import Ledger
from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.core.ledger.tables import Prediction

Row = TypeVar("Row")
PARTITION = "partition"
"""Column that each frame begins with: the partition's key"""
VERSION = "version"


class Model:
    """One model's records: of the stack in `home`, or of the one that the environment names.

    Each method takes `first` and `last`, partition keys that both belong to what is asked for; one key alone is that
    partition, none are all. Frames begin with the column `partition`, text, and are in the order of partitions.
    """

    def __init__(self, name: str, home: Path | None = None, *, settings: Settings | None = None) -> None:
        """A model by its name.

        Args:
            name: as in `model.yaml`.
            home: folder of the stack; by default EVERGREEN_HOME, else `var/` here.
            settings: where everything is, in place of a stack.

        Raises:
            DefinitionError: there is no such model.
            SettingsError: no stack was started in `home`, and the environment does not say where everything is.
        """
        from evergreen.stack.control import join

        if settings is None:
            join(home)
        self.settings = settings or Settings.from_env()
        self.definition: ModelDefinition = load_definition(name, self.settings.models_dir)
        self._ledger = Ledger.from_settings(self.settings)

    def inputs(self, first: str | None = None, last: str | None = None) -> pd.DataFrame:
        """Accepted rows of the table inputs, with the columns and types that the definition has today.

        Dtypes: string -> object, integer -> Int64, float -> float64, boolean -> bool or boolean, timestamp ->
        datetime64[us, UTC].

        Raises:
            BadInputError: nothing of this is on record for these partitions; or values do not fit today's types.
            CollectedError: retention has removed them.
            UnavailableError: the ledger does not answer.
        """
        return self._accepted("inputs", first, last)

    def labels(self, first: str | None = None, last: str | None = None) -> pd.DataFrame:
        """Accepted rows of the table labels; dtypes and errors as `inputs`."""
        return self._accepted("labels", first, last)

    def features(self, first: str | None = None, last: str | None = None) -> pd.DataFrame:
        """Features as training reads them: the newest snapshot of each partition, by the code of today's definition.

        Columns: the feed's entity and event time, and the features: numeric float64, categorical object.

        Raises:
            BadInputError: no partition has been built by this code.
            UnavailableError: ledger or feature remotes do not answer.
        """
        from evergreen.core.feature_repository.snapshots import read_frame
        from evergreen.core.ledger.queries import snapshots
        from evergreen.loop.features.feature_code import today

        with self._ledger.transaction() as session:
            built = snapshots.current_map(session, self.definition.name, code_hash=today(self.definition).hash)
            wanted = {key: built[key] for key in self._wanted(built, "features", first, last)}
            return _joined(
                wanted, lambda one: read_frame(self.settings, one.git_commit, one.dvc_path, dvc_hash=one.dvc_hash)
            )

    def predictions(self, first: str | None = None, last: str | None = None) -> pd.DataFrame:
        """The newest predictions of each partition in batch.

        Columns: entity, event time, `prediction` (float64: probability of true, or value; of several classes the name
        of the most probable one, and `probability_<class>` of each), `choice` (bool, or a name) if the definition has a
        `decision`, and `version`, the model that made it.

        Raises:
            BadInputError: no partition has predictions.
            CollectedError: retention has removed them.
            UnavailableError: the ledger does not answer.
        """
        from evergreen.core.ledger.queries import decisions

        with self._ledger.transaction() as session:
            made = decisions.current_predictions(session, self.definition.name)
            wanted = self._wanted(made, "predictions", first, last)
            return _joined({key: made[key] for key in wanted}, self._predicted)

    def losses(self, first: str | None = None, last: str | None = None) -> pd.DataFrame:
        """Realised loss of each partition whose labels have landed.

        Columns: `version` (int64), `rows` (int64, labelled ones) and `loss` (float64, mean of the definition's loss).
        If the definition has a `decision`, also those figures of the choices that are one number: `precision`,
        `recall`, `f1`, `money`, `avoidable` and the counts; of several classes `accuracy` (null if undefined).

        Raises:
            BadInputError: no partition has been measured.
            UnavailableError: the ledger does not answer.
        """
        import pandas as pd

        from evergreen.core.ledger.queries import decisions

        with self._ledger.transaction() as session:
            found = decisions.measured(session, self.definition.name)
            rows = [
                {
                    PARTITION: key,
                    "version": found[key].version,
                    "rows": found[key].rows,
                    "loss": found[key].loss,
                    **_single(found[key].metrics.get("decision", {})),
                }
                for key in self._wanted(found, "losses", first, last)
            ]
        return pd.DataFrame(rows)

    def champions(self) -> pd.DataFrame:
        """Who served from when on, oldest first.

        Columns: `version` (int64), `partition` (the first that it was meant for), `since` (datetime64[ns, UTC]) and
        `reason` (the decision's sentence). Empty if there has been no champion.

        Raises:
            UnavailableError: the ledger does not answer.
        """
        import pandas as pd
        from sqlalchemy import select

        from evergreen.core.ledger.tables import Decision, Deployment

        query = select(Deployment, Decision).join(Decision, Decision.id == Deployment.decision_id)
        with self._ledger.transaction() as session:
            found = session.execute(query.where(Deployment.model == self.definition.name).order_by(Deployment.id)).all()
            rows = [(d.version, d.from_key, pd.Timestamp(d.served_from), why.reason) for d, why in found]
        return pd.DataFrame(rows, columns=["version", PARTITION, "since", "reason"])

    def _predicted(self, row: Prediction) -> pd.DataFrame:
        """Under the names of today, of the task of today."""
        from evergreen.core.definition.decision import CHOICE
        from evergreen.core.frames import renamed
        from evergreen.loop.scoring.score import read_predictions
        from evergreen.loop.training import classes, decide

        feed = self.definition.feed
        found = read_predictions(row, self.settings)
        classes.read(self.definition.task, found)
        named = dict.fromkeys((feed.entity, feed.event_time, *feed.id_columns))
        found = renamed(found, tuple(named), feed.tables["inputs"].aliases)
        if VERSION in found:
            raise BadInputError(f"the feed has a column {VERSION!r}, which is the model's version here; rename it")
        choice = decide.chosen_in(self.definition, found)
        if choice is not None and CHOICE not in found:  # predicted before there was a `decision`
            found.insert(list(found).index(classes.PREDICTION) + 1, CHOICE, choice)
        return found.assign(**{VERSION: row.version})

    def _accepted(self, table: Literal["inputs", "labels"], first: str | None, last: str | None) -> pd.DataFrame:
        from evergreen.core.ledger.queries import partitions
        from evergreen.loop.intake.accepted_rows import read_known

        with self._ledger.transaction() as session:
            current = partitions.all_current(session, self.definition.name, table)
            verdicts = {key: current[key][1] for key in self._wanted(current, table, first, last)}
            return _joined(verdicts, lambda verdict: read_known(verdict, self.settings, self.definition, table))

    def _wanted(
        self, there: Mapping[PartitionKey, object], what: str, first: str | None, last: str | None
    ) -> list[PartitionKey]:
        """The keys asked for of those that are there, in order."""
        for key in (first, last):
            if key is not None:
                self.definition.partitions.parse(key)
        until = first if last is None else last
        found = [k for k in sorted(there) if (first is None or k >= first) and (until is None or k <= until)]
        if not found:
            span = f"{min(there)} to {max(there)}" if there else "none"
            raise BadInputError(
                f"{self.definition.name} has no {what} on record for {first or 'the beginning'} to {until or 'now'}; "
                f"there are: {span}"
            )
        return found


def _single(decision: Mapping[str, object]) -> dict[str, object]:
    """The figures that are one number, or undefined."""
    return {n: v for n, v in decision.items() if n != "rows" and (v is None or isinstance(v, int | float))}


def _joined(rows: Mapping[PartitionKey, Row], read: Callable[[Row], pd.DataFrame]) -> pd.DataFrame:
    """The frames of all partitions below each other, each row with its partition's key in front."""
    import pandas as pd

    parts = []
    for key, row in rows.items():
        part = read(row)
        if PARTITION in part:
            raise BadInputError(f"the feed has a column {PARTITION!r}, which is the partition's key here; rename it")
        part.insert(0, PARTITION, key)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
