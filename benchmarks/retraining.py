"""The story of docs/retraining.md with real videos: three dated deliveries out of GMDCSA24, then a rollback.

    python benchmarks/retraining.py PATH/TO/gmdcsa24 FOLDER

FOLDER is made: a copy of the project in which everything happens, so that this one stays as it is. Whatever the commands print
is printed; what becomes of each delivery is for the pipeline to say, nothing here decides it.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import pandas as pd
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[1]))

from pan_core.datasets.manifests import read_any, write_manifest
from pan_core.datasets.manifests.manifest import MANIFEST_NAME, video_files
from pan_core.retraining.inbox import MARKER, WITHDRAWN

ROOT = Path(__file__).parents[1]
# Chosen before anything was run: with some fifteen clips that decide, one clip more or less is 7 points.
PARAMS = {
    "pose": {"max_people": 1},
    "validate": {
        "max_quarantined": 0.3
    },  # people who lie are hard to find, and some spans are shorter than half a second
    "train": {"modes": ["online"], "least_steps": 600},
    "relabel": {"compare": False},
    "latency": {"budget_frame_ms": 2000},
    "promote": {"accuracy_margin": 0.15, "class_margin": 0.5, "min_clips": 5, "min_class_clips": 1},
}
CLASSES = ("Sitting", "Standing", "Walking", "Falling")
"""Of the lists' classes those that several subjects have in the videos at hand."""
LITTLE = tuple(f"Subject 3/{name}.mp4" for name in ("ADL/15", "ADL/19", "Fall/01", "Fall/15"))
"""What the first delivery has of the person with the most videos: the first week brings little."""
SWAPPED = {"Falling": "Sitting", "Sitting": "Falling", "Walking": "Standing", "Standing": "Walking"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="GMDCSA24", help="folder with the recordings")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the copy, which must not exist")
    arguments = parser.parse_args()
    source, folder = arguments.source.resolve(), arguments.folder.resolve()
    run("git", "clone", "--quiet", str(ROOT), str(folder), folder=ROOT)
    set_params(folder / "params.yaml", PARAMS)
    rows = labelled(source)
    incoming = folder / "data" / "incoming"
    first = rows["subject"].isin(["Subject 1", "Subject 4"]) | rows["video"].isin(LITTLE)
    print("\n## 2026-11-02: the first delivery, three people\n")
    deliver(rows[first], source, incoming / "2026-11-02")
    retrain(folder)
    print("\n## 2026-11-09: more of one of them, and a fourth person\n")
    deliver(rows[~first], source, incoming / "2026-11-09")
    retrain(folder)
    print("\n## the same again: nothing is new\n")
    retrain(folder)
    print("\n## 2026-11-16: the videos once more, encoded anew by a tool that mixed the labels up\n")
    deliver(rows, source, incoming / "2026-11-16", label=lambda name: SWAPPED[name], copy=encode_anew)
    retrain(folder)
    print("\n## 2026-11-16 is withdrawn: the footage is what it was before\n")
    (incoming / "2026-11-16" / WITHDRAWN).touch()
    retrain(folder)
    print("\n## the versions, a rollback, and the versions after it\n")
    for words in ("list", "rollback", "list"):
        run("pan", "registry", words, "--dataset", "surveillance", folder=folder)


def labelled(source: Path) -> pd.DataFrame:
    """Rows of the lists for the videos that are there, of the classes in use."""
    rows = read_any(source).rows
    return rows[rows["video"].isin(video_files(source)) & rows["label"].isin(CLASSES)].assign(camera="room")


def deliver(
    rows: pd.DataFrame,
    source: Path,
    folder: Path,
    label: Callable[[str], str] = str,
    copy: Callable[[Path, Path], object] = shutil.copy2,
) -> None:
    """Put a delivery into the inbox as a sender would: videos, manifest, and last the marker."""
    for video in rows["video"].unique():
        target = folder / video
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(source / video, target)
    write_manifest(rows.assign(label=rows["label"].map(label)), folder / MANIFEST_NAME)
    (folder / MARKER).touch()


def encode_anew(source: Path, target: Path) -> None:
    """The same pictures in another file."""
    video = cv2.VideoCapture(str(source))
    size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), video.get(cv2.CAP_PROP_FPS), size)
    while True:
        there, picture = video.read()
        if not there:
            break
        writer.write(picture)
    writer.release()


def retrain(folder: Path) -> None:
    """One run of the flow; a challenger that is refused is a way for it to end, not an error here."""
    run(sys.executable, "-m", "flows.retrain", folder=folder)


def set_params(path: Path, changes: Mapping[str, Mapping[str, object]]) -> None:
    """Values of params.yaml, comments kept."""
    yaml = YAML()
    params = yaml.load(path.read_text())
    for section, values in changes.items():
        params[section].update(values)
    yaml.dump(params, path)


def run(*command: str, folder: Path) -> None:
    """A command in a folder with that folder's code."""
    print("$", " ".join(command).replace(sys.executable, "python"), flush=True)
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run(command, cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
