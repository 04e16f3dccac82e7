"""Draw correct and wrong predictions of a benchmark run, with the skeletons behind them.

    PAN_MIRROR=... python benchmarks/answer_pictures.py jhmdb_video OUT.jpg --mode clip

Reads a finished run of `pan benchmark run` with the current recipe, data and code. Five correct and five wrong test clips are drawn at random,
the same ones every time. Each row shows four frames of a clip with the skeleton that the network read, the true class and the prediction.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from pan_core.benchmark.coordinator import make_setting
from pan_core.benchmark.prepared_data import BenchmarkData, prepare
from pan_core.benchmark.protocol import MODEL, Job
from pan_core.files import cache_folder
from pan_core.model.features import MODES
from pan_core.params.load import Params
from pan_core.pose.extraction import frame_step
from pan_core.pose.main_person import main_person
from pan_core.video import FrameReader
from pan_core.viewer.drawing import draw_skeleton, person_colour
from pan_core.workspace.context import dataset_context
from pan_core.workspace.recipe import project_poses, project_recipe

EACH = 5
FRAMES = 4
HEIGHT, TEXT = 120, 190
RIGHT, WRONG = (60, 140, 40), (40, 40, 200)


def choose_rows(right: np.ndarray) -> np.ndarray:
    """Rows of recognised clips, then of others, `EACH` of both at most."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.permutation(np.flatnonzero(right == value))[:EACH] for value in (True, False)])


def strip(data: BenchmarkData, clip_id: str, max_fps: float) -> np.ndarray:
    """Frames of a clip side by side, with the skeleton of the person that the network looked at."""
    poses = data.poses.clip(clip_id)
    person = poses.joints[main_person(poses.joints)]
    video = data.folder / "raw" / data.clips.loc[data.clips["clip_id"] == clip_id, "path"].item()
    chosen = set(np.linspace(0, len(person) - 1, FRAMES).round().astype(int).tolist())
    pictures = []
    with FrameReader(video) as reader:
        for number, frame in enumerate(reader.frames(step=frame_step(reader.fps, max_fps))):
            if number in chosen:
                draw_skeleton(frame, person[number], data.poses.layout, colour=person_colour(0))
                pictures.append(cv2.resize(frame, (HEIGHT * 4 // 3, HEIGHT), interpolation=cv2.INTER_AREA))
    return np.hstack(pictures)


def label(true: str, answer: str) -> np.ndarray:
    """The true class, and the answer in its colour."""
    panel = np.full((HEIGHT, TEXT, 3), 255, np.uint8)
    lines = ((true, (40, 40, 40)), (f"said: {answer}", RIGHT if true == answer else WRONG))
    for row, (text, colour) in enumerate(lines):
        cv2.putText(panel, text, (8, 52 + 26 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return panel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--mode", choices=MODES, default="clip")
    parser.add_argument("--split", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    context, folder = dataset_context(Params(dataset=chosen.dataset)), cache_folder() / "benchmark" / chosen.dataset
    poses = project_poses()
    data = prepare(chosen.dataset, folder, context, poses=poses)
    setting = make_setting(chosen.dataset, data, project_recipe(chosen.dataset), folder, context)
    job = Job(MODEL, chosen.mode, chosen.split, chosen.seed)
    answers = setting.path(job).with_suffix(".npz")
    if not answers.is_file():
        parser.error(
            f"{answers}: no such run; make it with `pan benchmark run {chosen.dataset} --seeds {chosen.seed + 1}`"
        )
    with np.load(answers, allow_pickle=False) as stored:
        clips, true, said = (stored[name] for name in ("clip_ids", "labels", "predictions"))
    rows = [
        np.hstack(
            [strip(data, clips[row], poses.settings.max_fps), label(data.classes[true[row]], data.classes[said[row]])]
        )
        for row in choose_rows(true == said)
    ]
    cv2.imwrite(str(chosen.out), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 75])


if __name__ == "__main__":
    main()
