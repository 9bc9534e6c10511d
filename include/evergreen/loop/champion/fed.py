"""The same held-out rows as the champion reads them: with the features of the code that it was made from."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sqlalchemy import select

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.snapshots import read_frame
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import Snapshot, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError
from evergreen.loop.features.feature_code import FeatureCode, read
from evergreen.loop.features.feed import feed
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.losses import Floats
from evergreen.settings import Settings

log = logging.getLogger("evergreen.champion")


@dataclass(frozen=True)
class Fed:
    """Who is fed by what in one comparison."""

    run: TrainingRun
    """Made the challenger"""
    champion: FeatureCode | None
    """Feeds the champion; None if there is none"""
    settings: Settings

    def lost(self) -> str | None:
        """Why the champion's code can no longer be run; None if it can, or there is none.

        Raises:
            UnavailableError: the store does not answer.
        """
        if self.champion is None or self.champion.kept is None:
            return None
        try:
            read(self.champion.kept, self.settings)
        except BadInputError as error:
            return str(error)
        return None

    def champion_features(
        self, definition: ModelDefinition, rows: Examples, challenger: Floats
    ) -> tuple[Examples, Floats, pd.DataFrame]:
        """The rows that both codes have, the challenger's predictions of them, and the champion's features.

        If one code feeds both, these are the rows and their features. Otherwise partitions are read as the champion's
        code has built them, from the inputs that the challenger's dataset was built from if it has, else from what is
        accepted now: rows of a partition that was restated meanwhile can be lacking there, and are left out.

        Raises:
            BadInputError: the champion's code fails on a partition, or can build none any more.
            UnavailableError: ledger, store or feature remotes do not answer.
        """
        other = self.champion is not None and self.run.features_hash not in (None, self.champion.hash)
        if self.champion is None or not other or not len(rows):
            return rows, challenger, rows.features
        keys = list(dict.fromkeys(rows.key.tolist()))
        log.info(
            "the champion reads the features of the code that it was made from, %s; the challenger those of %s",
            self.champion.short, str(self.run.features_hash)[:12],
        )  # fmt: skip
        feed(self.champion, keys, settings=self.settings)
        entity = self.champion.definition.feed.entity
        found = {key: self._frame(self.champion, key) for key in keys}
        frames = [frame.assign(__key__=key) for key, frame in found.items() if frame is not None]
        if not frames:
            raise BadInputError(
                f"{', '.join(keys)} cannot be built by the feature code of the champion: retention has removed rows"
            )
        theirs = pd.concat(frames, ignore_index=True)
        places = pd.MultiIndex.from_arrays([theirs["__key__"], theirs[entity]]).get_indexer(
            pd.MultiIndex.from_arrays([rows.key, rows.entity])
        )
        both = np.flatnonzero(places >= 0)
        if len(both) < len(rows):
            log.warning("%d held-out rows are not compared: the champion's features lack them", len(rows) - len(both))
        features = theirs.iloc[places[both]].reset_index(drop=True)
        return rows.take(both), challenger[both] if len(challenger) else challenger, features

    def _frame(self, champion: FeatureCode, key: PartitionKey) -> pd.DataFrame | None:
        """A partition's features by the champion's code; None if it has not built it."""
        model = champion.definition.name
        with Ledger.from_settings(self.settings).transaction() as session:
            of = session.get_one(Snapshot, self.run.dataset["snapshots"][key])
            query = select(Snapshot).where(
                Snapshot.model == model, Snapshot.key == key, Snapshot.code_hash == champion.hash
            )
            same = (Snapshot.inputs_version_id == of.inputs_version_id).desc()
            found = session.scalars(query.order_by(same, Snapshot.version.desc()).limit(1)).one_or_none()
        if found is None:
            return None
        return read_frame(self.settings, found.git_commit, found.dvc_path, dvc_hash=found.dvc_hash)
