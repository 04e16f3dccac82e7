"""Whether a challenger takes the champion's place: every condition with what was found and what was allowed.

Both have judged the same holdout: clips of groups that neither was trained on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pan_core.errors import DataError
from pan_core.evaluation.statistics import compare
from pan_core.registry.lineage import Lineage


@dataclass(frozen=True)
class Check:
    """One condition.

    Attributes:
        name: What is asked.
        passed: Whether it holds.
        found: What was found, in words.
        allowed: What is allowed, in words.
    """

    name: str
    passed: bool
    found: str
    allowed: str


@dataclass(frozen=True)
class Judged:
    """What a model made of the holdout, and what it learnt from.

    Attributes:
        name: Of the model, for people.
        hits: Whether each holdout clip was recognised, by clip id.
        labels: Classes that the model knows.
        learnt: What it was trained and validated on; None where nobody knows.
    """

    name: str
    hits: Mapping[str, bool]
    labels: frozenset[str]
    learnt: Lineage | None

    @property
    def accuracy(self) -> float:
        """Share of the holdout that was recognised."""
        return sum(self.hits.values()) / len(self.hits)


@dataclass(frozen=True)
class DecidingClips:
    """Clips that decide.

    Attributes:
        labels: True class by clip id.
        lineage: Where the clips with people come from.
        unscored: Clips among them in which nobody was found: a mistake of every model, and no sign for or against one.
    """

    labels: Mapping[str, str]
    lineage: Lineage
    unscored: frozenset[str] = frozenset()

    @property
    def scored(self) -> int:
        """Clips that can tell two models apart."""
        return len(self.labels) - len(self.unscored)


@dataclass(frozen=True)
class Margins:
    """How much worse a challenger may be.

    Attributes:
        accuracy: The lower end of the 95 % interval of its accuracy minus the champion's must not be below minus this.
        class_accuracy: No class may lose more than this share of its holdout clips.
        clips: With fewer that show people a bootstrap says little, and nothing is concluded.
        class_clips: A class with fewer that show people is not judged by itself: a single clip would decide.
    """

    accuracy: float
    class_accuracy: float
    clips: int = 1
    class_clips: int = 1


@dataclass(frozen=True)
class Decision:
    """What was decided and why.

    Attributes:
        promoted: Whether every condition holds.
        checks: The conditions.
        champion: The model in use before; empty where there was none.
        challenger: The new model.
        difference: Accuracy of the challenger minus that of the champion; None without a champion.
    """

    promoted: bool
    checks: tuple[Check, ...]
    champion: str
    challenger: str
    difference: float | None

    @property
    def reason(self) -> str:
        """In one line."""
        if refused := [
            f"{check.name}: {check.found}, allowed {check.allowed}" for check in self.checks if not check.passed
        ]:
            return "refused; " + "; ".join(refused)
        return f"promoted; all {len(self.checks)} conditions hold"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"reason": self.reason}


def decide(
    challenger: Judged, champion: Judged | None, holdout: DecidingClips, margins: Margins, others: Iterable[Check] = ()
) -> Decision:
    """Weigh a challenger.

    Args:
        challenger: The new model.
        champion: The model in use; None at the first time, when only the challenger's own conditions count.
        holdout: The clips that both judged.
        margins: How much worse the challenger may be.
        others: Conditions that were looked at elsewhere: latency, parity, data.

    Raises:
        DataError: Where there is no holdout, or a model did not judge all of it.
    """
    if not holdout.labels:
        raise DataError(
            "no holdout: the test part of the split is empty, so nothing can be decided", code="holdout.empty"
        )
    models = [challenger, *([champion] if champion else [])]
    for model in models:
        if model.hits.keys() != holdout.labels.keys():
            absent = sorted(holdout.labels.keys() - model.hits.keys())
            raise DataError(
                f"{model.name}: has not judged {len(absent)} of {len(holdout.labels)} holdout clips, such as {absent[:1]}",
                code="holdout.not-judged",
            )
    checks = [_check_unseen(model, holdout) for model in models]
    difference = None
    if champion:
        difference = challenger.accuracy - champion.accuracy
        checks += [
            _check_labels(challenger, champion),
            _check_accuracy(challenger, champion, holdout, margins),
            _check_classes(challenger, champion, holdout, margins),
        ]
    checks += others
    promoted = all(check.passed for check in checks)
    return Decision(promoted, tuple(checks), champion.name if champion else "", challenger.name, difference)


def _check_unseen(model: Judged, holdout: DecidingClips) -> Check:
    shared = model.learnt.shared_with(holdout.lineage) if model.learnt else None
    if shared is not None:
        found = f"shares {_shorten(shared)} with its training" if shared else "shares none with its training"
    elif model.learnt:
        found = f"not known: its training was grouped by {model.learnt.grouping or 'the dataset'}, the holdout is by {holdout.lineage.grouping or 'the dataset'}"
    else:
        found = "what it was trained on is not known"
    return Check(f"groups of the holdout, {model.name}", shared == [], found, "none")


def _check_labels(challenger: Judged, champion: Judged) -> Check:
    lost = sorted(champion.labels - challenger.labels)
    return Check(
        "classes", not lost, f"does not know {_shorten(lost)}" if lost else "knows all of the champion's", "none lost"
    )


def _check_accuracy(challenger: Judged, champion: Judged, holdout: DecidingClips, margins: Margins) -> Check:
    found = compare([_as_numbers(challenger)], [_as_numbers(champion)])
    words = (
        f"{100 * challenger.accuracy:.1f} % against {100 * champion.accuracy:.1f} %, difference {100 * found.difference:+.1f} points, "
        f"95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f} over {found.clips} clips"
    )
    if holdout.unscored:
        words += f", {len(holdout.unscored)} of them without people"
    if holdout.scored < margins.clips:
        return Check("accuracy on the holdout", False, words, f"{margins.clips} clips or more to compare on")
    allowed = f"interval above {-100 * margins.accuracy:+.1f} points"
    return Check("accuracy on the holdout", found.low >= -margins.accuracy, words, allowed)


def _check_classes(challenger: Judged, champion: Judged, holdout: DecidingClips, margins: Margins) -> Check:
    drops, few = {}, []
    for label in sorted(set(holdout.labels.values())):
        own = [clip for clip, name in holdout.labels.items() if name == label]
        if (scored := len(set(own) - holdout.unscored)) < margins.class_clips:
            few.append(f"{label} ({scored})")
            continue
        drops[label] = sum(champion.hits[clip] - challenger.hits[clip] for clip in own) / len(own)
    fallen = [
        f"{label} by {100 * drop:.0f} points" for label, drop in drops.items() if drop > margins.class_accuracy + 1e-9
    ]
    if fallen:
        found = f"fell: {', '.join(fallen)}"
    elif drops:
        worst = max(drops, key=lambda label: drops[label])
        found = f"largest fall {100 * max(0, drops[worst]):.0f} points ({worst})"
    else:
        found = "none judged"
    if few:
        found += f"; fewer than {margins.class_clips} clips of {_shorten(few)}"
    if unjudged := sorted(challenger.labels - set(holdout.labels.values())):
        found += f"; no clip of the holdout shows {_shorten(unjudged)}"
    return Check("each class", not fallen, found, f"at most {100 * margins.class_accuracy:.0f} points each")


def _as_numbers(model: Judged) -> dict[str, float]:
    return {clip: float(hit) for clip, hit in model.hits.items()}


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
