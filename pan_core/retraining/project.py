"""Retraining in a project folder: where everything lies, and the steps with the values of params.yaml."""

from collections.abc import Callable, Collection
from pathlib import Path

from pan_core.datasets.holdout import Holdout
from pan_core.errors import PanError
from pan_core.files import read_json
from pan_core.params.load import Params
from pan_core.registry.lineage import Lineage
from pan_core.registry.models import BEGAN_WITH, Registry, Version, registry_of
from pan_core.retraining.decision import RunState, count_withdrawn, refuses_challenger, training_key
from pan_core.retraining.footage import Footage
from pan_core.retraining.holdout_draw import DrawRules, hold_out, require_group
from pan_core.retraining.intake import IntakeRules, receive
from pan_core.retraining.receipts import REFUSED, WAITING, Receipt
from pan_core.retraining.run_parameters import DATASET, require_kept_videos
from pan_core.retraining.trial import trial_recipe
from pan_core.workspace.context import dataset_context
from pan_core.workspace.failures import RefusedError
from pan_core.workspace.paths import FOOTAGE, WORKSPACES, result

INCOMING = Path("data/incoming")
WORKSPACE = "retraining"
"""Name of the folder below `.cache/workspaces` in which the stages run, whatever the parameters."""

LOCK, MEMORY = Path(".cache/retraining.lock"), Path(".cache/deliveries.json")
BUSY = "another retraining is at work in this project; wait until it ends, then start this one again"


def open_footage() -> Footage:
    """The footage as its last version has it; what a killed run left on trial is taken back.

    Raises:
        PanError: If it is gone.
    """
    footage = Footage(FOOTAGE, MEMORY)
    footage.transaction.recover()
    footage.require_present()
    return footage


def open_registry() -> tuple[Registry, Version | None]:
    """Versions of the recognizer, and the one in use."""
    registry = registry_of(DATASET)
    return registry, registry.champion()


def count_versions() -> int:
    """Number of registered versions."""
    return len(registry_of(DATASET).versions())


def require_ready(params: Params, footage: Footage) -> None:
    """Refuse parameters that do not go with the footage, and footage that is damaged.

    Raises:
        ConfigError: If the parameters remove videos.
        DataError: If they group otherwise than the holdout, or the footage is not as its last version has it.
    """
    require_kept_videos(params)
    require_group(footage.holdout, params.surveillance.group, footage.folder)
    footage.version.require_unchanged()


def fetch_source(source: str, incoming: Path) -> tuple[list[str], list[Receipt]]:
    """Bring whole deliveries from S3 into the inbox.

    Returns:
        Names of those that were brought, and a receipt for each that was left there.
    """
    from pan_core.retraining.s3_source import fetch_deliveries  # late: boto3, which only a source in S3 needs

    left: list[Receipt] = []

    def leave(state: str) -> Callable[[str, str], None]:
        return lambda name, reason: left.append(Receipt(name, state, f"at {source}: {reason}"))

    brought = fetch_deliveries(source, incoming, left=leave(REFUSED), unfinished=leave(WAITING))
    return [path.name for path in brought], left


def receive_deliveries(
    footage: Footage, params: Params, incoming: Path, only: Collection[str] | None = None
) -> list[Receipt]:
    """Take what is new and usable into the footage; see `pan_core.retraining.intake.receive`."""
    rules = IntakeRules(
        frozenset(params.retrain.classes), params.validation.max_quarantined, trial_recipe(params.recipe(), footage)
    )
    return receive(footage, incoming, rules, dataset_context(params, DATASET), only)


def choose_holdout(footage: Footage, params: Params, new: Collection[str]) -> Holdout:
    """Choose the videos that decide; see `pan_core.retraining.holdout_draw.hold_out`."""
    rules = DrawRules(
        params.surveillance.group,
        params.split.folds,
        params.split.validation_share,
        params.seed,
        least=params.promote.min_clips + _count_unusable(),
    )
    return hold_out(footage, rules, dataset_context(params, DATASET), new)


def keep_version(footage: Footage) -> str:
    """Give the footage as it is now to DVC, and end its trial; returns DVC's hash of it."""
    version = footage.version.add()
    footage.transaction.end()
    return version


def examine_run(
    registry: Registry,
    champion: Version | None,
    footage: Footage,
    version: str,
    recipe: str,
    *,
    force: bool,
    warn: Callable[[str], None],
) -> RunState:
    """What is known before a run decides what to do.

    Args:
        registry: Versions of the recognizer.
        champion: The one in use.
        footage: The footage.
        version: Its version.
        recipe: Hash of the parameters.
        force: Whether to train in any case.
        warn: Called with the reason if the champion's files cannot be read.
    """
    start = champion.number if champion else 0
    trained, unfinished = registry.trained(version, recipe), registry.undecided(version, recipe)
    key = training_key(version, recipe, start)
    return RunState(
        key=key,
        champion=start,
        trained=trained.number if trained else None,
        unfinished=int(unfinished.tags.get(BEGAN_WITH, start)) if unfinished else None,
        shut=footage.memory.read("shut").get(key, ""),
        withdrawn=count_withdrawn(_read_lineage(registry, champion, warn), footage.ledger.hashes),
        force=force,
    )


def remember_gate(footage: Footage, error: RefusedError, state: RunState) -> None:
    """Remember that a gate refused a challenger, so that it is not trained again.

    Raises:
        RefusedError: The error itself, if it is not of that kind.
    """
    if not refuses_challenger(error):
        raise error
    footage.memory.add("shut", state.key, str(error))


def _read_lineage(registry: Registry, version: Version | None, warn: Callable[[str], None]) -> Lineage | None:
    """What a version learnt from; None if there is none, or its files do not tell."""
    try:
        return Lineage.read(registry.fetch(version)) if version else None
    except PanError as error:
        warn(str(error))
        return None


def _count_unusable() -> int:
    """Clips that decide and could not be used in the last evaluation: there must be so many more."""
    path = WORKSPACES / WORKSPACE / result("evaluate")
    found = read_json(path) if path.is_file() else {}
    return found.get("test_clips_listed", 0) - found.get("test_clips", 0)
