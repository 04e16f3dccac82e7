"""What a retraining does with the footage that it has: whether it trains, and from which weights.

Pure functions on plain data. Who is promoted, `pan_core.registry.promotion` decides.
"""

from collections.abc import Set
from dataclasses import dataclass

from pan_core.registry.lineage import Lineage
from pan_core.workspace.failures import RefusedError

CHECKED = "validate"
"""Last stage through which new footage goes on trial, before it makes a version."""

READING = ("fetch", "split", "relabel", CHECKED)
"""Stages that fail because of what is in the footage."""

JUDGING = ("evaluate", "export")
"""Stages whose bounds a challenger may fail to meet, which refuses it."""


@dataclass(frozen=True)
class RunState:
    """What is known when a run decides what to do.

    Attributes:
        key: Key of the training, see `training_key`.
        champion: Version of the recognizer in use, 0 for none.
        trained: Newest version that was trained on this footage with these parameters and decided on; None for none.
        unfinished: Champion that such a version began with whose decision was never finished; None if there is none.
        shut: Reason why a gate refused this training before; empty if none did.
        withdrawn: Videos that the champion learnt from and the footage does not have any more.
        force: Whether to train in any case.
    """

    key: str = ""
    champion: int = 0
    trained: int | None = None
    unfinished: int | None = None
    shut: str = ""
    withdrawn: int = 0
    force: bool = False


@dataclass(frozen=True)
class RetrainingPlan:
    """What a run does.

    Attributes:
        nothing: Reason why nothing is trained; empty if something is.
        start: Version of the recognizer to begin with, 0 for none.
        begin: Whether a training may begin with its weights.
        forced: Stages that run although DVC holds them to be up to date.
    """

    nothing: str = ""
    start: int = 0
    begin: bool = True
    forced: frozenset[str] = frozenset()


def plan_run(state: RunState) -> RetrainingPlan:
    """Decide whether to train, and from which version.

    A champion that learnt from withdrawn videos is replaced: a version from before the withdrawal does not count, and nothing
    begins with the champion's weights.
    """
    withdrawn = state.withdrawn > 0
    if not state.force:
        if state.trained and (not withdrawn or state.trained > state.champion):
            return RetrainingPlan(f"version {state.trained} of the recognizer was trained on this footage")
        if state.shut:
            return RetrainingPlan(state.shut)
    start = state.champion
    if not state.force and state.unfinished is not None:
        # The champion may be this very version by now: with another to begin with it would be trained again.
        start = state.unfinished
    # The registry is no file that DVC could compare, and what was too slow once may have had company.
    forced = {"latency", "promote"}
    if state.force or (withdrawn and state.trained):
        forced.add("train")
    return RetrainingPlan("", start, not withdrawn, frozenset(forced))


def training_key(version: str, recipe: str, champion: int) -> str:
    """Key under which it is remembered that a gate refused a training."""
    return f"{version} {recipe} {champion}"


def count_withdrawn(learnt: Lineage | None, there: Set[str]) -> int:
    """Number of videos that a model learnt from and that are not in the footage any more; 0 if it is not known.

    Args:
        learnt: What the model learnt from, None if nobody knows.
        there: SHA-256 of the videos in the footage.
    """
    return len(learnt.videos - there) if learnt else 0


def blames_footage(error: RefusedError) -> bool:
    """Whether a stage failed because of what is in the footage."""
    return error.stage in READING


def refuses_challenger(error: RefusedError) -> bool:
    """Whether a stage failed because the challenger does not meet a bound."""
    return error.measured and error.stage in JUDGING
