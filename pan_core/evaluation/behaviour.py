"""What changes in a recognizer's answers when clips change in ways that should not matter.

Metamorphic tests: nobody needs to know the right answer to see that a person who stands elsewhere in the picture still
does the same. A mirror changes the class only where it names a side; a shift and a scale change nothing that the
features read; a slower clip and a lost joint make the task harder, and the answers should change little.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pan_core.model.pan import PAN
from pan_core.training.augmentation import mirror
from pan_core.training.predict import Predictions, length_batches, predict
from pan_core.training.samples import Samples, resample

Change = Callable[[Samples], Samples]
SCORED_AT_ONCE = 256


@dataclass(frozen=True)
class Reaction:
    """How answers change over a set of clips.

    Attributes:
        changed: Share of the clips whose predicted class changes.
        moved: Mean over clips of half the summed change of the class probabilities: 0 none, 1 all of it.
        gained: Share of the clips that are right after the change minus that before.
        clips: Number of clips.
    """

    changed: float
    moved: float
    gained: float
    clips: int


def mirrored(samples: Samples) -> Samples:
    """Left and right swapped."""
    chosen = np.ones(1, dtype=bool)
    return replace(samples, joints=mirror(samples.joints[None], samples.layout, chosen)[0])


def shifted(samples: Samples, *, by: tuple[float, float] = (120.0, -80.0)) -> Samples:
    """Everybody elsewhere in the picture, by pixels."""
    return _move_places(samples, lambda places: places + np.array(by, dtype=places.dtype))


def scaled(samples: Samples, *, factor: float = 1.7) -> Samples:
    """Everybody nearer or farther."""
    return _move_places(samples, lambda places: places * np.asarray(factor, dtype=places.dtype))


def slowed(samples: Samples, *, factor: float = 1.5) -> Samples:
    """Every clip played slower: more frames in online mode, the first part of the action in clip mode.

    A clip of clip mode has a fixed number of frames, so it is cut to the part that they then cover.
    """
    blocks, holds = [], []
    for number, length in enumerate(samples.lengths):
        rows = slice(samples.offsets[number], samples.offsets[number + 1])
        count = length if samples.mode == "clip" else int((length - 1) * factor) + 1
        at = np.arange(count) / factor
        blocks.append(resample(samples.joints[rows], at, how="bridge"))
        holds.append(samples.holds[rows][np.minimum(np.rint(at).astype(int), length - 1)])
    offsets = np.concatenate([[0], np.cumsum([len(block) for block in blocks])])
    return replace(samples, joints=np.concatenate(blocks), holds=np.concatenate(holds), offsets=offsets)


def without_joint(samples: Samples, *, joint: str) -> Samples:
    """One joint never seen."""
    joints = samples.joints.copy()
    joints[:, samples.layout.index(joint)] = np.array([np.nan, np.nan, 0], dtype=joints.dtype)
    return replace(samples, joints=joints)


def standard_changes(samples: Samples, *, lost: str = "") -> dict[str, Change]:
    """The changes by name.

    Args:
        samples: Clips to change.
        lost: Joint that is never seen; the last of the layout where not given.
    """
    lost = lost or samples.layout.joints[-1]
    return {
        "mirrored": mirrored,
        "shifted": shifted,
        "scaled": scaled,
        "slowed": slowed,
        f"without {lost.replace('_', ' ')}": lambda own: without_joint(own, joint=lost),
    }


def reactions(model: PAN, samples: Samples, changes: Mapping[str, Change] | None = None) -> dict[str, Reaction]:
    """How a recognizer reacts to each change.

    Args:
        model: The recognizer.
        samples: Clips, of its mode and layout.
        changes: By name; `standard_changes` where None.
    """
    before = predict_ends(model, samples)
    found = {}
    for name, change in (changes or standard_changes(samples)).items():
        after = predict_ends(model, change(samples))
        said, says = before.argmax(axis=1), after.argmax(axis=1)
        found[name] = Reaction(
            changed=float((said != says).mean()),
            moved=float(np.abs(after - before).sum(axis=1).mean() / 2),
            gained=float((says == samples.labels).mean() - (said == samples.labels).mean()),
            clips=len(samples),
        )
    return found


def predict_ends(model: PAN, samples: Samples) -> np.ndarray:
    """Class probabilities at the end of each clip, (N, K)."""
    result = np.zeros((len(samples), model.classes), dtype=np.float32)
    for indices in length_batches(samples.lengths, SCORED_AT_ONCE):
        said: Predictions = predict(model, samples.select(indices))
        result[indices] = said.probabilities
    return result


def _move_places(samples: Samples, move: Callable[[np.ndarray], np.ndarray]) -> Samples:
    joints = samples.joints.copy()
    joints[..., :2] = move(joints[..., :2])
    return replace(samples, joints=joints)
