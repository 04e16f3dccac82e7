"""Quality of pose extraction where it is hard: photographs, people who cross, small people, people who fall, real clips.

    python benchmarks/pose_quality.py crossing small falling people falls jhmdb --quality balanced
    python benchmarks/pose_quality.py people falls jhmdb --model pan_core/pose/pretrained/movenet.yaml

`people`, `falls` and `jhmdb` need PAN_TEST_DATA, a folder with recordings (see CONTRIBUTING.md); all need the network,
models/pose/pose.onnx if none is named. `jhmdb` takes every `--every`-th of the 928 clips.
Prints one JSON object a part.
"""

import argparse
import csv
import gzip
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from pan_core.datasets.actors import Performer, render_scene
from pan_core.pose.accuracy import pck, track_accuracy, visible
from pan_core.pose.crops import Square
from pan_core.pose.estimation import Estimator
from pan_core.pose.extraction import PoseExtractor, frame_step
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.main_person import main_person
from pan_core.pose.oks import AnnotatedPicture, average_precision
from pan_core.pose.person_tracker import PersonTracker
from pan_core.pose.qualities import QUALITIES, REFERENCE
from pan_core.pose.tracks import TrackCollector
from pan_core.skeletons import COCO17, OPENPOSE18, convert
from pan_core.video import FrameReader

CHOICES = {"reference": REFERENCE} | QUALITIES["paper"]
MODEL = Path("models/pose/pose.onnx")
# A person is on the annotated actor if as many joints are seen and such a share of them lies in the actor's box, widened by a tenth,
# and if they span such a share of its longer side.
LEAST_JOINTS, LEAST_INSIDE, LEAST_EXTENT, WIDENED = 5, 0.8, 0.4, 0.1


class Upright:
    """An estimator that turns nothing: what the extraction would be without."""

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator

    def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
        return self.estimator.search(frame, closely=closely)

    def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
        return self.estimator.look(frame, [replace(square, turn=0) for square in squares])


def extractor_of(quality: str, *, people: int) -> PoseExtractor:
    return PoseExtractor(chosen.model, settings=ExtractionSettings(**CHOICES[quality], max_people=people))


def followed(tracker: PersonTracker, frames: np.ndarray) -> np.ndarray:
    seen = TrackCollector(joints=18)
    for frame in frames:
        seen.add(tracker.update(frame))
    return seen.tracks().dense()


def crossing(quality: str) -> dict:
    """Two and three people walk past each other, by scene."""
    pair = [("Walking", (-1.4, -0.6), 0.0), ("Walking", (1.4, 0.6), 180.0)]
    found: dict = {}
    for count in (2, 3):
        for seed in (3, 4, 5):
            walkers = [Performer(a, seed + 3 * i, start, heading) for i, (a, start, heading) in enumerate(pair)]
            walkers += [Performer("Waving" if seed % 2 else "Clapping", seed + 7, (0.0, 1.6), -90.0)] * (count - 2)
            frames, truth = render_scene(walkers, seed=seed, frames=30)
            result = track_accuracy(followed(extractor_of(quality, people=count).tracker(), frames), visible(truth))
            part = found.setdefault(f"{count} people", {"switches": 0, "covered": [], "scenes": 0})
            part["switches"] += result.switches
            part["covered"].append(round(result.covered, 3))
            part["scenes"] += 1
    return found


def small(quality: str) -> dict:
    """A person of about a half, a third, a quarter and a fifth of the frame's height: is a search enough?"""
    found = {}
    for share, view in {"1/2": 4.6, "1/3": 7.0, "1/4": 9.3, "1/5": 11.6}.items():
        frames, truth = render_scene([Performer("Waving", 2, (0, 0), -90.0)], seed=1, frames=4, view_width=view,
                                     width=640, height=480)  # fmt: skip
        places = truth[0, 0, truth[0, 0, :, 2] > 0, 1]
        seen = followed(extractor_of(quality, people=1).tracker(), frames)
        hit = pck(seen[0, -1], visible(truth)[0, -1]).overall if len(seen) else 0.0
        found[share] = {"eyes_to_ankles_pixels": round(float(np.ptp(places))), "found": bool(len(seen)), "pck_0_1": hit}
    return found


def falling(quality: str) -> dict:
    """Drawn people who fall: four actors, each seen from the side."""
    pairs = []
    for group in (1, 2, 3, 4):
        frames, truth = render_scene([Performer("Falling", group, (0, 0), 0.0)], seed=2, frames=34)
        tracks = followed(extractor_of(quality, people=1).tracker(), frames)
        pairs.append((tracks[0] if len(tracks) else np.zeros_like(truth[0]), visible(truth)[0]))
    both = tuple(np.concatenate(side) for side in zip(*pairs, strict=True))
    late = tuple(np.concatenate([one[-10:] for one in side]) for side in zip(*pairs, strict=True))
    return {"pck_0_1": pck(*both).overall, "pck_0_1_last_ten_frames": pck(*late).overall}


def people(quality: str) -> dict:
    """Annotated people in photographs: each in a crop, then everybody by one close search."""
    folder = Path(os.environ["PAN_TEST_DATA"]) / "people" / "coco"
    content = json.loads((folder / "person_keypoints.json").read_text())
    estimator = extractor_of(quality, people=20)._estimator
    found, truth, scenes, sizes = [], [], [], []
    for entry in content["images"]:
        image = cv2.imread(str(folder / entry["file_name"]))
        marked = [one for one in content["annotations"] if one["image_id"] == entry["id"] and one["num_keypoints"] >= 5]
        given = np.array([one["keypoints"] for one in marked], float).reshape(-1, 17, 3)
        true = convert(given, COCO17, OPENPOSE18)
        true[:, OPENPOSE18.index("neck"), 2] = 0
        squares = [
            Square(np.array([x + w / 2, y + h / 2]), 1.2 * max(w, h)) for x, y, w, h in (m["bbox"] for m in marked)
        ]
        looked = estimator.look(image, squares)
        found += [each[0] if len(each) else np.zeros((18, 3)) for each in looked]
        truth += list(true)
        sizes += [max(one["bbox"][2:]) for one in marked]
        scenes.append(AnnotatedPicture(estimator.search(image), true, np.array([one["area"] for one in marked])))
    pair, large = (np.stack(found), np.stack(truth)), np.array(sizes) >= 96
    joints = dict(zip(OPENPOSE18.joints, pck(*pair).per_joint.round(3).tolist(), strict=True))
    return {
        "people": len(truth), "crops_pck_0_1": pck(*pair).overall, "crops_pck_0_05": pck(*pair, threshold=0.05).overall,
        "large_pck_0_1": pck(pair[0][large], pair[1][large]).overall, "large": int(large.sum()),
        "small_pck_0_1": pck(pair[0][~large], pair[1][~large]).overall, "search_oks_ap": average_precision(scenes, OPENPOSE18),
        "by_joint": joints,
    }  # fmt: skip


def falls(quality: str) -> dict:
    """Share of the frames of real falls in which somebody has a skeleton, without turned crops and searches and with."""
    found = {"upright_only": [], "turned": []}
    videos = sorted((Path(os.environ["PAN_TEST_DATA"]) / "gmdcsa24").glob("*/Fall/*.mp4"))
    for video in videos:
        extractor = extractor_of(quality, people=1)
        trackers = {"turned": extractor.tracker(), "upright_only": extractor.tracker()}
        trackers["upright_only"]._estimator = Upright(trackers["upright_only"]._estimator)
        seen: dict[str, list[bool]] = {name: [] for name in trackers}
        with FrameReader(video) as reader:
            for frame in reader.frames(step=frame_step(reader.fps, 15.0)):
                for name, tracker in trackers.items():
                    seen[name].append(bool(tracker.update(frame)))
        for name, frames in seen.items():
            found[name].append(float(np.mean(frames)))
    return {
        name: {"mean": float(np.mean(shares)), "videos": [round(x, 3) for x in shares]}
        for name, shares in found.items()
    }


def read_boxes(path: Path) -> dict[str, dict[int, np.ndarray]]:
    """Box of the annotated actor (x0, y0, x1, y1) by clip and frame."""
    boxes: dict[str, dict[int, np.ndarray]] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            box = np.array([row[side] for side in ("x0", "y0", "x1", "y1")], float)
            boxes.setdefault(row["clip"], {})[int(row["frame"])] = box
    return boxes


def on_actor(pose: np.ndarray, box: np.ndarray) -> bool:
    """Tell whether a pose (V, 3) is on the actor in a box."""
    places = pose[pose[:, 2] > 0, :2]
    if len(places) < LEAST_JOINTS:
        return False
    sides = box[2:] - box[:2]
    inside = ((places >= box[:2] - WIDENED * sides) & (places <= box[2:] + WIDENED * sides)).all(axis=1)
    return inside.mean() >= LEAST_INSIDE and np.ptp(places, axis=0).max() >= LEAST_EXTENT * sides.max()


def jhmdb(quality: str) -> dict:
    """Clips of JHMDB in which nobody is found, and frames in which the person used for recognition is the annotated actor."""
    folder = Path(os.environ["PAN_TEST_DATA"]) / "jhmdb"
    boxes, extractor = read_boxes(folder / "boxes.csv.gz"), extractor_of(quality, people=2)
    clips = sorted((folder / "ReCompress_Videos").glob("*/*.avi"))[:: chosen.every]
    empty = hits = frames = looked = 0
    began = time.process_time()
    for clip in clips:
        poses = extractor.extract(clip)
        looked += poses.tracks.frames
        people = poses.joints
        empty += not len(people)
        person = people[main_person(people)] if len(people) else None
        with FrameReader(clip) as reader:
            step = frame_step(reader.fps, extractor.settings.max_fps)
        for pose_number in range(poses.tracks.frames):
            box = boxes[clip.stem].get(pose_number * step)
            if box is not None:
                frames += 1
                hits += person is not None and on_actor(person[pose_number], box)
    cost = 1000 * (time.process_time() - began) / looked
    return {
        "clips": len(clips),
        "without_people": empty,
        "on_actor": hits / frames,
        "frames": frames,
        "cpu_ms_a_frame": cost,
    }


PARTS: dict[str, Callable[[str], dict]] = {
    "crossing": crossing, "small": small, "falling": falling, "people": people, "falls": falls, "jhmdb": jhmdb,
}  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--quality", choices=list(CHOICES), default="balanced")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--every", type=int, default=1)
    chosen = parser.parse_args()
    for part in chosen.parts:
        print(
            json.dumps({part: PARTS[part](chosen.quality), "quality": chosen.quality, "model": str(chosen.model)}),
            flush=True,
        )
