"""Explanation of a recognized clip of the workspace, as a picture."""

import difflib
from pathlib import Path

from pan_core.errors import DataError
from pan_core.evaluation.explanation import explanation_picture
from pan_core.evaluation.relevance import explain_clip
from pan_core.files import atomic_path
from pan_core.model.store import load_model
from pan_core.params.load import load_params
from pan_core.workspace import paths
from pan_core.workspace.training_data import read_training_data


def write_explanation(clip_id: str, out: Path, model: Path | None = None) -> tuple[str, Path]:
    """Draw which joints and frames decided the class of a clip.

    Args:
        clip_id: A valid clip.
        out: Folder of the picture.
        model: Folder of a recognizer. If None, the clip-mode one that the last run trained, else the online one.

    Returns:
        What the picture shows, in words, and its file.

    Raises:
        DataError: If the clip is unknown or nothing has been trained.
    """
    params, data = load_params(), read_training_data()
    known = data.clips["clip_id"].tolist()
    if clip_id not in known:
        near = difflib.get_close_matches(clip_id, known, n=3)
        raise DataError(
            f"{clip_id}: no such clip in {paths.VALID / 'clips.parquet'}; near: {', '.join(near) or known[0]}",
            code="explain.unknown-clip",
        )
    mode = "clip" if "clip" in params.train.modes else "online"
    recognizer = load_model(model or paths.model_folder(mode, params.split.splits[0]))
    picture = explanation_picture(explain_clip(recognizer, data.clips, data.poses, clip_id))
    path = out / f"explained_{clip_id}.svg"
    with atomic_path(path) as partial:
        partial.write_text(picture.svg)
    return picture.alt, path
