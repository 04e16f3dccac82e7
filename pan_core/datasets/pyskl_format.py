"""The pickle format of the PYSKL project: what a file must hold, and its poses in this package's form.

A file is a dict: `split` maps a name to a list of clip names, `annotations` is a list of dicts, or such a list alone, which has
no splits. A dict has `frame_dir` (the clip's name), `total_frames`, `img_shape` (height, width), `original_shape`, `label`, `keypoint` and, where the joints
were detected, `keypoint_score` (PYSKL, tools/data/README.md). Shapes: M people, T frames, V joints.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.datasets.unpickling import load
from pan_core.errors import DataError

FIELDS = ("frame_dir", "total_frames", "img_shape", "label", "keypoint")
_PART = re.compile(r"(?<![a-z])(train|validation|val|test)(?![a-z])", re.IGNORECASE)
_LARGEST = 1 << 62
LARGEST_SIDE = 100_000
UNITS = 4.0
LARGEST_SCORE = 1.5
FAR = 10
_PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class PysklFile:
    """Content of a file whose outer form was checked.

    Attributes:
        annotations: One dict a clip, not yet checked; taken from the left as they are used, so that memory shrinks.
        splits: Column `split<k>` -> part (train, val, test) -> names of its clips.
    """

    annotations: deque[Any]
    splits: dict[str, dict[str, set[str]]]


def read_pyskl(path: Path) -> PysklFile:
    """Read a file and check its outer form.

    Raises:
        DataError: Where it cannot be read safely, or is not of the format.
    """
    content = load(path)
    if isinstance(content, list | tuple) and all(isinstance(item, Mapping) for item in content):
        content = {"annotations": content}
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list | tuple):
        raise DataError(
            f"{path}: Expected a list with a dict a clip, or a dict with such a list as `annotations` and `split`, but got "
            f"{_describe(content)}; see PYSKL's tools/data/README.md for the format",
            code="pyskl.format",
        )
    if not content["annotations"]:
        raise DataError(
            f"{path}: its list of annotations is empty, so there is no clip in it; fetch the file again",
            code="pyskl.empty",
        )
    return PysklFile(deque(content["annotations"]), pair_splits(content.get("split") or {}, str(path)))


def pair_splits(split: object, where: str) -> dict[str, dict[str, set[str]]]:
    """Official splits out of named lists: `X_train` with `X_test` or `X_val` is a split, as is `train2` with `test2`.

    They are numbered in the order of the file, so NTU's `xsub_train`, `xsub_val`, `xview_train`, `xview_val` give
    split 1 (by subject) and split 2 (by view). Where a split has training and validation only, as all of PYSKL's own
    names of that kind, the validation clips are those that results are published on: they become its test part.

    Args:
        split: Name -> list of clip names.
        where: File to name in the message.

    Returns:
        Column `split<k>` -> part (train, val, test) -> clip names.

    Raises:
        DataError: Where a name is not understood, a list is not one of names, or a split lacks its training or test.
    """
    if not isinstance(split, Mapping):
        raise DataError(
            f"{where}: Expected `split` to be a dict of lists, but got {_describe(split)}", code="pyskl.splits"
        )
    found: dict[str, dict[str, set[str]]] = {}
    for name, clips in split.items():
        match = _PART.search(name) if isinstance(name, str) else None
        if match is None or not isinstance(clips, list | tuple) or not all(isinstance(clip, str) for clip in clips):
            raise DataError(
                f"{where}: split {str(name)[:40]!r}: Expected a list of clip names under a name that has train, val "
                f"or test in it, but got {_describe(clips)}; correct or drop this entry of `split`",
                code="pyskl.split-list",
            )
        key = (name[: match.start()] + name[match.end() :]).strip("_-")
        part = _PARTS[match[0].lower()]
        if part in found.setdefault(key, {}):
            raise DataError(
                f"{where}: split {name[:40]!r} is a second list to {part}; rename or drop one of them",
                code="pyskl.second-list",
            )
        found[key][part] = set(clips)
    for key, parts in found.items():
        if "test" not in parts and "val" in parts:
            parts["test"] = parts.pop("val")
        if not {"train", "test"} <= set(parts):
            raise DataError(
                f"{where}: split {key!r} has a {' and a '.join(parts)} list only; Expected one to train and one to test "
                "or validate on; add the other to `split` or drop this one",
                code="pyskl.one-list-only",
            )
        if empty := [part for part in ("train", "test") if not parts[part]]:
            raise DataError(
                f"{where}: split {key!r} names no clip to {' and '.join(empty)}; fill it or drop this split",
                code="pyskl.empty-list",
            )
    return {f"split{number}": parts for number, parts in enumerate(found.values(), start=1)}


def annotation_faults(annotation: object, *, joints: int, classes: int | None) -> list[str]:
    """Everything that is wrong with an annotation, in words; empty where it can be used.

    Args:
        annotation: An element of `annotations`.
        joints: V of the skeleton layout.
        classes: Number of classes; None where it is not known.
    """
    if not isinstance(annotation, Mapping):
        return [f"Expected a dict, but got {_describe(annotation)}"]
    if missing := [name for name in FIELDS if name not in annotation]:
        return [f"missing {', '.join(missing)}"]
    return [*_check_fields(annotation, classes), *_check_arrays(annotation, joints)]


def _check_fields(annotation: Mapping, classes: int | None) -> Iterator[str]:
    name = annotation["frame_dir"]
    if not isinstance(name, str) or not name or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        yield f"Expected frame_dir to be a name, but got {_describe(annotation['frame_dir'])}"
    label = annotation["label"]
    if not _is_whole(label):
        yield f"Expected label to be a whole number from 0, but got {_describe(label)}"
    elif classes is not None and label >= classes:
        yield f"label {label} is outside 0..{classes - 1}"
    shape = annotation["img_shape"]
    if not isinstance(shape, tuple | list) or len(shape) != 2 or not all(map(_is_side, shape)):
        yield f"Expected img_shape to be (height, width) in pixels, but got {_describe(shape)}"


def _check_arrays(annotation: Mapping, joints: int) -> Iterator[str]:
    place, score, frames = annotation["keypoint"], annotation.get("keypoint_score"), annotation["total_frames"]
    if not _is_whole(frames) or frames < 1:
        yield f"Expected total_frames to be a whole number from 1, but got {_describe(frames)}"
        return
    if not _is_numeric(place) or place.ndim != 4 or place.shape[2:] != (joints, 2):
        yield f"Expected keypoint to be numbers of shape (M, T, {joints}, 2), but got {_describe(place)}"
        return
    if place.shape[1] != frames:
        yield f"keypoint has {place.shape[1]} frames, but total_frames is {frames}"
    if score is not None and (not _is_numeric(score) or score.shape != place.shape[:3]):
        yield f"Expected keypoint_score to have shape {place.shape[:3]}, but got {_describe(score)}"
    elif score is not None and not np.isfinite(score).all():
        yield f"{np.count_nonzero(~np.isfinite(score))} of the keypoint scores are not finite"
    elif score is not None and score.size and score.max() > LARGEST_SCORE:
        yield f"a keypoint score is {score.max():g}, expected scores from 0 to 1; divide them by their greatest"
    elif unplaced := np.count_nonzero(~np.isfinite(place).all(axis=-1) & (score is None or np.greater(score, 0))):
        yield f"{unplaced} of the joints have a place that is not finite"
    elif far := _count_far(place, score, annotation["img_shape"]):
        yield f"{far} of the joints lie more than {FAR} pictures outside of the picture"


def _count_far(place: np.ndarray, score: np.ndarray | None, shape: Any) -> int:
    """How many seen joints lie absurdly far from the picture; none is counted where its size is not known."""
    if not isinstance(shape, tuple | list) or len(shape) != 2 or not all(map(_is_side, shape)):
        return 0
    size = np.array(shape[::-1], dtype=float)  # width, height
    inside = ((place >= -FAR * size) & (place <= (FAR + 1) * size)).all(axis=-1)
    return int(np.count_nonzero(~inside & (score is None or np.greater(score, 0))))


def require_pixels(joints: np.ndarray, width: int, height: int) -> None:
    """Refuse places in units of the picture or of the person, which would pass for people in the corner.

    Args:
        joints: Shape (M, T, V, 3); NaN for the place of a missing joint.
        width: Of the picture, pixels.
        height: Likewise.

    Raises:
        DataError: Where all places lie within `UNITS` of 0 in a picture that is much larger.
    """
    places = joints[..., :2][np.isfinite(joints[..., :2])]
    if places.size and np.abs(places).max() <= UNITS < min(width, height) / 8:
        raise DataError(
            f"all places lie within {UNITS:g} of 0 in a picture of {width} x {height}: they are normalised, expected pixels; "
            "write them in pixels, or add an adapter with `pixels` as datasets/jhmdb14.py has it",
            code="pyskl.normalised",
        )


def joints_of(annotation: Mapping) -> np.ndarray:
    """Joints of an annotation without faults.

    A joint without a score is missing. Where the file has no scores at all, a joint at (0, 0) is missing and any
    other has score 1. HRNet's scores exceed 1 now and then: they are cut off there. People of whom no joint is seen
    in the whole clip are left out; PYSKL fills up with such people.

    Returns:
        Shape (M, T, V, 3), float32: x, y as in the file, score; NaN for the place of a missing joint.
    """
    place, score = annotation["keypoint"], annotation.get("keypoint_score")
    joints = np.empty((*place.shape[:3], 3), dtype=np.float32)
    with np.errstate(over="ignore"):  # of joints that are missing
        joints[..., :2] = place
    joints[..., 2] = (place != 0).any(axis=-1) if score is None else np.clip(score, 0, 1)
    missing = joints[..., 2] <= 0
    joints[missing, :2] = np.nan
    return joints[~missing.all(axis=(1, 2))]


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(0 <= value < _LARGEST)


def _is_side(value: object) -> bool:
    return _is_whole(value) and 0 < int(value) <= LARGEST_SIDE  # type: ignore[call-overload]


def _is_numeric(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def _describe(value: object) -> str:
    """A value in a few words; never its whole content, which may be huge."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a huge number"
    if value is None or isinstance(value, int | float | np.number):
        return repr(value)
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, tuple | list) and len(value) <= 4 and all(isinstance(v, int | float | str) for v in value):
        return f"({', '.join(_describe(v) for v in value)})"
    return type(value).__name__
