"""What is expected of a dataset of each kind, as Great Expectations' own objects.

An expectation that is marked as fatal judges single clips, and a clip that breaks it cannot be used; the others judge
the dataset, and somebody has to look at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["annotated", "extracted", "supplied", "surveillance"]
KINDS: tuple[Kind, ...] = ("annotated", "extracted", "supplied", "surveillance")


@dataclass(frozen=True)
class QualityLimits:
    """What a dataset must have to be worth training on.

    The defaults pass a usable dataset of staged or found videos and stop one that is broken; a dataset of your own
    deserves tighter ones.

    Attributes:
        min_frames: Frames of poses that a clip should have.
        max_frames: Frames that a clip should not exceed.
        mostly: Share of clips that must keep to `min_frames` and `max_frames`, show a person, and move.
        min_visible_joints: Least mean share of joints that were found.
        mean_score: Range in which the mean keypoint score of the dataset must lie.
        min_inside: Least share of a clip's found joints that lie in its picture; with fewer, its places are not in
            pixels of this picture.
        max_sure_scores: Largest mean share of scores that are exactly 0.5 or 1; a network gives hardly any.
        min_person_share: Least mean share of frames in which anybody is found.
        max_jitter: Largest mean second difference of a joint's place, in picture diagonals.
        largest_class: Most clips of a class, as a multiple of an even share (all clips over all classes).
        smallest_class: Fewest clips of a class, as a multiple of an even share.
        min_train: Fewest training clips of each class.
        min_test: Fewest test clips of each class.
        max_overlap: Largest share of a video's labelled time that has several labels at once; more points to a
            manifest that lists its rows twice.
    """

    min_frames: int = 8
    max_frames: int = 100_000
    mostly: float = 0.9
    min_visible_joints: float = 0.3
    mean_score: tuple[float, float] = (0.2, 1.0)
    min_inside: float = 0.25
    max_sure_scores: float = 0.5
    min_person_share: float = 0.5
    max_jitter: float = 0.05
    largest_class: float = 5.0
    smallest_class: float = 0.2
    min_train: int = 1
    min_test: int = 1
    max_overlap: float = 0.9


def on_clips(kind: Kind, labels: Sequence[str], limits: QualityLimits) -> list[Any]:
    """Expectations on the summary table: those of every dataset, then those of its kind."""
    import great_expectations.expectations as gxe  # late: start-up

    low, high = limits.mean_score
    common = [
        gxe.ExpectColumnValuesToBeUnique(column="clip_id", meta=_describe("no clip twice", fatal=True)),
        gxe.ExpectColumnValuesToBeInSet(
            column="label", value_set=sorted(set(labels)), meta=_describe("labels known", fatal=True)
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="n_frames",
            min_value=limits.min_frames,
            max_value=limits.max_frames,
            mostly=limits.mostly,
            meta=_describe("clip length"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="people", min_value=1, mostly=limits.mostly, meta=_describe("people found")
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="visible_joint_share", min_value=limits.min_visible_joints, meta=_describe("joints found")
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="mean_score", min_value=low, max_value=high, meta=_describe("keypoint scores")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="max_score", max_value=1.0, meta=_describe("scores are at most 1", fatal=True)
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="inside_share", min_value=limits.min_inside, meta=_describe("joints in the picture", fatal=True)
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="motion", min_value=0, strict_min=True, mostly=limits.mostly, meta=_describe("clips move")
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="jitter", max_value=limits.max_jitter, meta=_describe("joints are steady")
        ),
    ]
    return common + _expect_of_kind(kind, limits)


def _expect_of_kind(kind: Kind, limits: QualityLimits) -> list[Any]:
    if kind == "annotated":
        return _expect_annotated(limits)
    # Nobody knows who found the joints of supplied poses: by hand and by motion capture all scores are 1.
    return ([] if kind == "supplied" else _expect_network(limits)) + _expect_found(limits)


def _expect_annotated(limits: QualityLimits) -> list[Any]:
    import great_expectations.expectations as gxe  # late: start-up

    return [
        gxe.ExpectColumnValuesToBeBetween(
            column="level_share", min_value=1.0, meta=_describe("annotated scores are 0, 0.5 or 1", fatal=True)
        ),
    ]


def _expect_network(limits: QualityLimits) -> list[Any]:
    import great_expectations.expectations as gxe  # late: start-up

    return [
        gxe.ExpectColumnMeanToBeBetween(
            column="level_share", max_value=limits.max_sure_scores, meta=_describe("scores are a network's")
        ),
    ]


def _expect_found(limits: QualityLimits) -> list[Any]:
    import great_expectations.expectations as gxe  # late: start-up

    low, high = limits.mean_score
    return [
        gxe.ExpectColumnMeanToBeBetween(
            column="person_share", min_value=limits.min_person_share, meta=_describe("frames with a person")
        ),
        gxe.ExpectColumnMedianToBeBetween(
            column="mean_score", min_value=low, max_value=high, meta=_describe("score of the middle clip")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="mean_score", min_value=low / 2, mostly=limits.mostly, meta=_describe("clips with clear joints")
        ),
    ]


def on_classes(limits: QualityLimits) -> list[Any]:
    """Expectations on the counts by class."""
    import great_expectations.expectations as gxe  # late: start-up

    return [
        gxe.ExpectColumnMaxToBeBetween(
            column="even_share", max_value=limits.largest_class, meta=_describe("largest class")
        ),
        gxe.ExpectColumnMinToBeBetween(
            column="even_share", min_value=limits.smallest_class, meta=_describe("smallest class")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="train", min_value=limits.min_train, meta=_describe("every class in train")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="test", min_value=limits.min_test, meta=_describe("every class in test")
        ),
    ]


def on_videos(limits: QualityLimits) -> list[Any]:
    """Expectations on the labelled videos of cameras."""
    import great_expectations.expectations as gxe  # late: start-up

    return [
        gxe.ExpectColumnValuesToBeBetween(column="rates", max_value=1, meta=_describe("one rate a video")),
        gxe.ExpectColumnValuesToBeBetween(column="cameras", max_value=1, meta=_describe("one camera a video")),
        gxe.ExpectColumnValuesToBeBetween(
            column="named_share", min_value=1.0, mostly=limits.mostly, meta=_describe("cameras are named")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="overlap_share",
            max_value=limits.max_overlap,
            mostly=limits.mostly,
            meta=_describe("overlap of labels"),
        ),
        gxe.ExpectColumnValuesToBeBetween(column="same_spans", max_value=0, meta=_describe("no span twice")),
    ]


def _describe(words: str, *, fatal: bool = False) -> dict[str, object]:
    return {"name": words, "fatal": fatal}
