"""Penn Action: 2,326 sequences of 15 actions with 13 hand-annotated joints (Zhang et al., ICCV 2013).

Read from the official archive's layout, `Penn_Action/labels/NNNN.mat`; an archive of the labels alone serves too,
because nothing here needs the frames. Facts of the format: the train flag is 1 or -1; a joint in the top left corner
is missing (`MISSING_WITHIN`); the visibility flag is separate; a few files have a bounding box too few, which is not
read.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from pan_core.datasets.archives import unpack
from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, Progress, RemoteFile
from pan_core.datasets.download import link_tree, obtain, reading
from pan_core.errors import DataError
from pan_core.files import atomic_path
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import PENN13
from pan_core.tables import quarantine_table

URL = "https://www.cis.upenn.edu/~kostas/Penn_Action.tar.gz"
SIZE = 3_235_203_923
FPS = 30.0
HIDDEN_SCORE = 0.5
MISSING_WITHIN = 2.0
"""Pixels from the corner within which a joint is missing. Its mark (1, 1) was scaled together with the joints of frames
that were resized, up to (1.52, 1.52): 17,571 joints of 1.96 million. The nearest real joint is more than 5 pixels away."""
LABELS = "labels"
VALUES = ("action", "train", "x", "y", "visibility", "nframes", "dimensions")
LARGEST_SIDE, LARGEST_PLACE = 100_000, 1e6
_DAMAGED = (
    MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError,
    EOFError, OverflowError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


class PennAction(Dataset):
    """Adapter of Penn Action; poses are the annotated joints."""

    name = "penn_action"
    facts: ClassVar = Facts(
        "Penn Action",
        classes=15,
        clips=2326,
        splits={1: {"train": 1258, "test": 1068}},
        licence="none stated: research use, not to be redistributed",
        reference="Zhang et al., ICCV 2013",
    )
    files: ClassVar = (
        RemoteFile("Penn_Action.tar.gz", (URL,), size=SIZE, instead=("Penn_Action_labels.tar.gz", "Penn_Action")),
    )
    has_video = False
    layout = PENN13

    def fetch(self, folder: Path, context: Context) -> None:
        """Take the label files out of the official archive, or out of the folder that it unpacks to."""
        found = obtain(self.name, self.files[0], context)
        with atomic_path(folder) as partial, reading(found, context):
            partial.mkdir()
            if found.is_dir():
                if not (found / "labels").is_dir():
                    raise DataError(
                        f"{found}: has no folder labels, expected labels/NNNN.mat as the archive has them",
                        code="penn-action.no-labels",
                    )
                link_tree(found / "labels", partial / LABELS)
            else:
                extract_labels(found, partial / LABELS, progress=context.progress)

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """Clip table with the official split as `split1`; a sequence that cannot be read goes to quarantine."""
        files = sorted((folder / LABELS).glob("*.mat"))
        rows, failed = [], []
        for done, path in enumerate(files, start=1):
            try:
                rows.append(_make_row(path))
            except DataError as error:
                failed.append({"clip_id": path.stem, "stage": "split", "reason": str(error)})
            if context.progress:
                context.progress(done, len(files))
        if not rows:
            reason = f", such as {failed[0]['reason']}" if failed else ""
            raise DataError(
                f"{folder / LABELS}: none of {len(files)} label files can be used{reason}; run `dvc repro --force fetch`",
                code="penn-action.no-clip",
            )
        return Catalogue(pd.DataFrame(rows), quarantine_table(failed))

    def poses(self, folder: Path, clips: pd.DataFrame) -> Iterator[ClipPoses]:
        """Annotated joints; score 1 where visible, 0.5 where annotated but hidden, 0 where missing."""
        for clip in clips.itertuples(index=False):
            place, visible = _read_joints(folder / LABELS / f"{clip.clip_id}.mat")
            score = np.where(visible, 1.0, HIDDEN_SCORE).astype(np.float32)  # T V
            missing = (place <= MISSING_WITHIN).all(axis=-1)
            score[missing] = 0.0
            place[missing] = np.nan
            joints = np.concatenate([place, score[..., None]], axis=-1)[None]  # 1 T V 3
            yield ClipPoses(
                clip_id=clip.clip_id,
                joints=joints,
                fps=clip.fps,
                width=clip.width,
                height=clip.height,
                extractor="annotated",
            )


def extract_labels(archive: Path, folder: Path, *, progress: Progress | None = None) -> None:
    """Take `Penn_Action/labels/*.mat` out of the archive, and nothing else.

    Raises:
        DataError: Where the archive is damaged or has no labels.
    """
    with atomic_path(folder) as partial:
        unpacked = partial.with_name("unpacked")
        unpack(archive, unpacked, members=lambda name: fnmatch(name, "Penn_Action/labels/*.mat"), progress=progress)
        if not (unpacked / "Penn_Action").is_dir():
            raise DataError(
                f"{archive}: holds no Penn_Action/labels/*.mat, expected the official archive's layout",
                code="penn-action.layout",
            )
        (unpacked / "Penn_Action" / "labels").rename(partial)


def _read_joints(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, 13, 2), float32, and whether each joint is visible (T, 13)."""
    mat = _read(path)
    return np.stack([mat["x"], mat["y"]], axis=-1).astype(np.float32), mat["visibility"] > 0


def _read(path: Path) -> dict[str, np.ndarray]:
    """Content of a label file.

    Raises:
        DataError: Where it is no MATLAB file, lacks a value, or contradicts itself.
    """
    try:
        mat = loadmat(path, variable_names=VALUES)
    except _DAMAGED as error:
        raise DataError(
            f"{path}: not a readable MATLAB file ({error}); fetch it again", code="penn-action.damaged"
        ) from error
    if missing := [name for name in VALUES if name not in mat or mat[name].size == 0]:
        raise DataError(
            f"{path}: has no {', '.join(missing)}, expected {', '.join(VALUES)}; fetch it again",
            code="penn-action.missing-values",
        )
    if faults := list(_find_faults(mat)):
        raise DataError(f"{path}: {'; '.join(faults)}; fetch it again", code="penn-action.faults")
    return mat


def _find_faults(mat: Mapping[str, np.ndarray]) -> Iterator[str]:
    """What is wrong with the values of a file that has them all."""
    odd = [name for name in VALUES if name != "action" and mat[name].dtype.kind not in "fiub"]
    if odd or mat["action"].dtype.kind != "U":
        yield f"Expected action to be text and all else numbers, but got otherwise in {', '.join(odd) or 'action'}"
        return
    frames = mat["nframes"].ravel()[0]
    for name in ("x", "y", "visibility"):
        if mat[name].shape != (frames, PENN13.size):
            yield f"Expected {name} to have shape ({frames:g}, {PENN13.size}), but got {mat[name].shape}"
        elif not (np.abs(mat[name]) < LARGEST_PLACE).all():
            yield f"{name} has values that are not finite or not places in a picture"
    dimensions = mat["dimensions"].ravel()
    if len(dimensions) < 2 or not all(1 <= side <= LARGEST_SIDE and side == int(side) for side in dimensions[:2]):
        yield f"Expected dimensions to be height and width in pixels, but got {dimensions[:3].tolist()}"
    if mat["train"].ravel()[0] not in (1, -1):
        yield f"Expected train to be 1 or -1, but got {mat['train'].ravel()[0]}"
    if not str(mat["action"].ravel()[0]).strip():
        yield "action is empty"


def _make_row(path: Path) -> dict[str, object]:
    mat = _read(path)
    height, width = (int(v) for v in mat["dimensions"].ravel()[:2])
    return {
        "clip_id": path.stem,
        "path": "",
        "source": PennAction.name,
        "label": str(mat["action"].ravel()[0]),
        "group": "",
        "subject": "",
        "camera": "",
        "fps": FPS,
        "n_frames": len(mat["x"]),
        "width": width,
        "height": height,
        "split1": "train" if int(mat["train"].ravel()[0]) == 1 else "test",
    }
