"""Make a registered version again from what the ledger recorded of its training, and compare: bit for bit, or why not.

Data is read by the recorded ids from its remotes, hyperparameters and seed come from the ledger's row. What is made is
held against the registered file: the same data hash, the same model file, the same predictions on its holdout.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.snapshots import pull
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import partitions, versions
from evergreen.core.ledger.queries.collected import explained, model_name
from evergreen.core.ledger.tables import PartitionVersion, Snapshot, TrainingRun, Verdict
from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError
from evergreen.loop.features.feature_code import FeatureCode, of_hash
from evergreen.loop.training.assemble import Labelled, dataset_hash
from evergreen.loop.training.provenance import code_hash, lock_hash, machine
from evergreen.settings import Settings

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from evergreen.loop.training.examples import Examples
    from evergreen.loop.training.model_files import Predictor

log = logging.getLogger("evergreen.lineage")

ABOUT = ("code version", "code", "libraries", "machine")
"""What explains a difference, and is none itself."""


@dataclass(frozen=True)
class Check:
    """One thing that was compared."""

    name: str
    recorded: str
    now: str

    @property
    def same(self) -> bool:
        """Whether nothing has changed."""
        return self.recorded == self.now


@dataclass(frozen=True)
class Reproduced:
    """Whether a version was made again, and everything that was compared, in order."""

    model: str
    version: int
    training_run_id: int
    reproduced: bool
    reason: str
    """In words: what was found to be equal, or what differs first and why"""
    rows: int
    """Rows it was trained on"""
    holdout_rows: int
    """Rows that both models predicted"""
    checks: list[Check]


def reproduce(definition: ModelDefinition, version: int, *, settings: Settings, tune: bool = False) -> Reproduced:
    """Make `version` again and compare.

    Args:
        definition: the model, as it is now.
        version: in the registry.
        settings: where ledger, store, feature remotes and MLflow are.
        tune: choose candidate and hyperparameters again too, instead of taking the recorded ones.

    Raises:
        BadInputError: no training run has made this version, or the features do not fit the definition of today.
        CollectedError: retention has removed the version or some of its data.
        UnavailableError: ledger, store, feature remotes or MLflow do not answer.
    """
    from evergreen.loop.training.dataset import read_examples
    from evergreen.loop.training.estimators.trusted import trusted_types
    from evergreen.loop.training.model_files import Predictor, content_hash, freeze, thaw

    run, labelled = _recorded(definition, version, settings)
    with Ledger.from_settings(settings).transaction() as session:
        code = of_hash(session, definition, run.features_hash)
    definition = code.definition
    registered, tags = _registered(definition, run, settings)
    seeded = definition.model_copy(update={"training": definition.training.model_copy(update={"seed": run.seed})})
    checks = [*_surroundings(code, run, tags, settings), *_data(run, labelled, settings)]
    examples = read_examples(seeded, run, list(run.dataset["train_keys"]), settings=settings)
    pipeline, chosen = _make(seeded, run, examples, tune=tune)
    checks.append(Check("hyperparameters", _setting(run.candidate, run.params), chosen))
    checks.append(Check("registered file", tags["evergreen.model_hash"], content_hash(registered)))
    made = freeze(pipeline)
    checks.append(Check("model", content_hash(registered), content_hash(made)))
    held_out = read_examples(seeded, run, list(run.dataset["holdout_keys"]), settings=settings)
    trusted = trusted_types(definition)
    known = Predictor(thaw(registered, trusted, what=model_name(run.model, version)), version)
    ours = Predictor(thaw(made, trusted, what="the model made again"), version)
    checks.append(Check("predictions", *(_predictions_hash(model, held_out) for model in (known, ours))))
    return _conclude(run, checks, len(examples), len(held_out))


def _recorded(
    definition: ModelDefinition, version: int, settings: Settings
) -> tuple[TrainingRun, tuple[list[Labelled], list[Labelled]]]:
    """The version's training run, and the rows of the ledger that its dataset names: trained on, held out."""
    with Ledger.from_settings(settings).transaction() as session:
        run = versions.run_of_version(session, definition.name, version)
        if run is None:
            raise BadInputError(
                f"no training run of {definition.name} has made version {version}; `evergreen history "
                f"{definition.name}` lists the versions that were made"
            )
        if run.cause == "adopt":
            raise BadInputError(
                f"version {version} of {definition.name} was adopted: {run.reason} It was not made here, so it cannot "
                "be made again. What is kept is its registered file, and each of its predictions"
            )
        dataset = run.dataset
        built = {
            s.id: s for s in session.scalars(select(Snapshot).where(Snapshot.id.in_(dataset["snapshots"].values())))
        }
        verdicts = select(PartitionVersion, Verdict).join(Verdict, Verdict.partition_version_id == PartitionVersion.id)
        chosen = session.execute(verdicts.where(Verdict.id.in_(dataset["label_verdicts"].values()))).tuples()
        labels: dict[int, partitions.Current] = {verdict.id: (part, verdict) for part, verdict in chosen}

        def part(keys: list[PartitionKey]) -> list[Labelled]:
            ids = dataset["snapshots"], dataset["label_verdicts"]
            return [Labelled(key, built[ids[0][key]], labels[ids[1][key]]) for key in keys]

        return run, (part(dataset["train_keys"]), part(dataset["holdout_keys"]))


def _registered(definition: ModelDefinition, run: TrainingRun, settings: Settings) -> tuple[bytes, dict[str, str]]:
    """The version's model file and its tags."""
    from evergreen.loop.training.model_files import MODEL_FILE
    from evergreen.loop.training.tracking import Registry, answering

    version, name = int(run.version or 0), model_name(run.model, int(run.version or 0))
    registry = Registry(settings, definition.name)
    with tempfile.TemporaryDirectory(prefix="evergreen-model-") as folder, explained(settings, name, [name]):
        data = registry.download(version, MODEL_FILE, Path(folder)).read_bytes()
    with answering(settings, f"say what {name} is"):
        return data, dict(registry.client.get_model_version(definition.name, str(version)).tags)


def _surroundings(code: FeatureCode, run: TrainingRun, tags: dict[str, str], settings: Settings) -> list[Check]:
    here = machine()
    return [
        Check("code version", run.code_version, settings.code_version),
        Check("code", run.code_hash, code_hash(code.definition, code.hash)),
        Check("libraries", run.lock_hash, lock_hash()),
        Check("machine", tags.get("evergreen.machine", "not recorded"), here),
    ]


def _data(run: TrainingRun, labelled: tuple[list[Labelled], list[Labelled]], settings: Settings) -> list[Check]:
    """The dataset's hash over the rows of the ledger, and the files of the features against their hashes."""
    wanted = {p.snapshot.dvc_path: p.snapshot for part in labelled for p in part}
    expected = {path: snapshot.dvc_hash for path, snapshot in wanted.items()}
    with pull(settings, run.git_commit, list(wanted), expected=expected) as files:
        found = {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in files.items()}
    recorded = {path: snapshot.content_hash for path, snapshot in wanted.items()}
    return [
        Check("dataset", run.dataset_hash, dataset_hash(*labelled)),
        Check("feature files", _hash_of(recorded), _hash_of(found)),
    ]


def _hash_of(files: dict[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{path} {digest}" for path, digest in sorted(files.items())).encode()).hexdigest()


def _make(definition: ModelDefinition, run: TrainingRun, examples: Examples, *, tune: bool) -> tuple[Pipeline, str]:
    from evergreen.loop.training.decide import rule_from
    from evergreen.loop.training.learn import learn, refit
    from evergreen.loop.training.trial_log import repeated

    if tune:
        learned = learn(definition, examples, repeated(run))
        return learned.model, _setting(learned.best.candidate, learned.best.params)
    candidate, params = str(run.candidate), dict(run.params or {})
    return refit(definition, candidate, params, examples, rule_from(run.decision)), _setting(candidate, params)


def _setting(candidate: str | None, params: dict[str, object] | None) -> str:
    return ", ".join([str(candidate), *(f"{name} {value!r}" for name, value in sorted((params or {}).items()))])


def _predictions_hash(model: Predictor, rows: Examples) -> str:
    return hashlib.sha256(model.predict(rows.features).tobytes()).hexdigest()


def _conclude(run: TrainingRun, checks: list[Check], rows: int, holdout_rows: int) -> Reproduced:
    reproduced, reason = conclude(checks)
    log.info("%s version %s: %s", run.model, run.version, reason)
    for check in checks:
        log.info("  %s: %s", check.name, check.recorded if check.same else f"was {check.recorded}, is {check.now}")
    return Reproduced(run.model, int(run.version or 0), run.id, reproduced, reason, rows, holdout_rows, checks)


def conclude(checks: list[Check]) -> tuple[bool, str]:
    """Whether it was reproduced, and why or why not, in a sentence. Pure."""
    differing = [check.name for check in checks if not check.same]
    results = [name for name in differing if name not in ABOUT]
    causes = [name for name in differing if name in ABOUT[1:]]
    hashes = {check.name: check.now[:12] for check in checks}
    if not results:
        said = f"reproduced: dataset {hashes['dataset']}, model {hashes['model']}, predictions {hashes['predictions']}"
        return True, f"{said}, each equal bit for bit" + (f", though {_differ(causes)}" if causes else "")
    first = results[0]
    if first in ("dataset", "feature files"):
        why = "the data is not what it was trained on: the ledger or the feature remotes have been changed"
    elif first == "registered file":
        why = "the file in the registry is not the one that training registered"
    elif causes:
        why = f"{_differ(causes)} from what it was trained with"
    else:
        why = "data, code, libraries and machine are as recorded: the training itself is not deterministic"
    return False, f"not reproduced: the {_differ([first])}; {why}"


def _differ(names: list[str]) -> str:
    """'code differs', 'libraries differ', 'code, libraries and machine differ'."""
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{listed} {'differ' if len(names) > 1 or listed.endswith('s') else 'differs'}"
