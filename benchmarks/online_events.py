"""False alarms and misses per hour of the events on long streams; thresholds are chosen on training streams only.

    python benchmarks/online_events.py actors WORKSPACE [--hours 0.5]
    python benchmarks/online_events.py videos WORKSPACE --event Fall

WORKSPACE is a folder in which `pan run` has trained an online recognizer. `actors`: one stream a person, of that person's
clips in random order again and again, each moved to where the last one ended, with 0.4 s between two of them. `videos`: the
videos of the dataset as they are, one after another, through the whole chain from decoding to events. Training streams
have the people of the training and validation parts, test streams those of the test part.

In the manner of the streaming test of MLPerf Tiny: an event is right where it becomes certain while its action holds or
up to 1 s later; other events are false alarms; an action that holds for at least half a second without one is a miss.
"""

import argparse
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd

from pan_core.live.camera import stream
from pan_core.live.events import EventDetector, Rule
from pan_core.model.missing import between
from pan_core.pose.pose_set import PoseSet
from pan_core.recognition.stream import Recognition, StreamRecognizer
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.viewer.captions import Caption

LATE_S, PAUSE_S, SHORTEST_S = 1.0, 0.4, 0.5
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
MINIMA = (0.2, 0.4, 0.7, 1.0)
Truth = tuple[str, float, float]


@dataclass(frozen=True)
class Recording:
    """What the recognizer said of a stream: (time, person -> action probabilities); true actions; length."""

    said: list[tuple[float, dict[int, np.ndarray]]]
    truth: list[Truth]
    seconds: float


@dataclass(frozen=True)
class Score:
    """Counts over some hours."""

    hits: int
    misses: int
    false_alarms: int
    hours: float

    def line(self) -> str:
        """A row of the table."""
        total = self.hits + self.misses
        low, high = poisson(self.false_alarms)
        return (
            f"{self.hits} of {total} | {self.misses / self.hours:.0f} | {self.false_alarms / self.hours:.0f} "
            f"({low / self.hours:.0f} to {high / self.hours:.0f})"
        )


def poisson(count: int) -> tuple[float, float]:
    """Exact 95 % interval of a mean by Garwood (1936)."""
    from scipy.stats import chi2

    return float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0, float(chi2.ppf(0.975, 2 * count + 2)) / 2


def score(recordings: Sequence[Recording], actions: Sequence[str], label: str, rule: Rule) -> Score:
    """Hits, misses and false alarms of one action."""
    counts: Counter[str] = Counter()
    for recording in recordings:
        detector, certain = EventDetector(actions, rules={label: rule}), list[float]()
        for time_s, people in recording.said:
            events = detector.update(time_s, [_somebody(person, actions) for person, actions in people.items()])
            certain += [time_s for event in events if event.end_s is None]
        # Two spells of one action that touch are one, for a person who looks on as for the detector.
        spells = merged([(start, end) for name, start, end in recording.truth if name == label])
        spells = [spell for spell in spells if spell[1] - spell[0] >= SHORTEST_S]
        hit = [any(start <= t <= end + LATE_S for t in certain) for start, end in spells]
        counts["hits"] += sum(hit)
        counts["misses"] += len(hit) - sum(hit)
        counts["false"] += sum(not any(start <= t <= end + LATE_S for start, end in spells) for t in certain)
    hours = sum(recording.seconds for recording in recordings) / 3600
    return Score(counts["hits"], counts["misses"], counts["false"], hours)


def merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that touch or lie less than a second apart, joined."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start - joined[-1][1] < LATE_S:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def best_rule(recordings: Sequence[Recording], actions: Sequence[str], label: str) -> Rule:
    """The rule with the fewest misses and false alarms together; of equals the stricter one."""
    rules = [
        Rule(threshold=threshold, release=0.6 * threshold, minimum_s=minimum)
        for threshold, minimum in itertools.product(THRESHOLDS, MINIMA)
    ]

    def faults(rule: Rule) -> tuple[int, float, float]:
        found = score(recordings, actions, label, rule)
        return found.misses + found.false_alarms, -rule.threshold, -rule.minimum_s

    return min(rules, key=faults)


def _somebody(person: int, actions: np.ndarray) -> Recognition:
    nothing = Caption("", 0.0)
    return Recognition(person, np.zeros((1, 3)), nothing, nothing, actions, actions, actions, 0.0)


def actor_streams(
    network: TorchNetwork, groups: Sequence[str], *, hours: float, rng: np.random.Generator
) -> Iterator[Recording]:
    """A stream of each person, by the skeletons that the pose network found."""
    poses, clips = PoseSet(Path("data/poses")), pd.read_parquet("data/clips.parquet")
    segments = pd.read_parquet("data/segments.parquet")
    for group in groups:
        own = clips[clips["group"] == group]
        ids = [clip_id for clip_id in own["clip_id"] if clip_id in poses and len(poses.clip(clip_id).joints)]
        yield _recorded(network, poses, ids, segments, 3600 * hours / len(groups), rng)


def _recorded(
    network: TorchNetwork,
    poses: PoseSet,
    ids: list[str],
    segments: pd.DataFrame,
    seconds: float,
    rng: np.random.Generator,
) -> Recording:
    fps = poses.clip(ids[0]).fps
    stream, said, truth, number = StreamRecognizer(network, pose_fps=fps), [], [], 0
    last: np.ndarray | None = None
    while number / fps < seconds:
        for clip_id in rng.permutation(ids):
            joints = _moved(poses.clip(clip_id).joints[0], last)
            ramp = round(PAUSE_S * fps)
            way = [] if last is None else [between(last, joints[0], (k + 1) / (ramp + 1)) for k in range(ramp)]
            start = number + len(way)
            for segment in segments[segments["clip_id"] == clip_id].itertuples():
                truth.append((segment.label, (start + segment.start_frame) / fps, (start + segment.end_frame) / fps))
            for pose in [*way, *joints]:
                people = stream.update([(0, pose)] if (pose[:, 2] > 0).any() else [])
                said.append((number / fps, {one.person: one.actions for one in people}))
                number += 1
            last = joints[-1]
    return Recording(said, truth, number / fps)


def _moved(joints: np.ndarray, last: np.ndarray | None) -> np.ndarray:
    """A clip (T, V, 3) moved so that its first pose lies on the last one."""
    if last is None:
        return joints
    both = (joints[0, :, 2] > 0) & (last[:, 2] > 0)
    shift = np.median(last[both, :2] - joints[0, both, :2], axis=0) if both.any() else np.zeros(2)
    return np.concatenate([joints[..., :2] + shift, joints[..., 2:]], axis=-1).astype(np.float32)


def video_streams(model: Path, groups: Sequence[str]) -> tuple[list[Recording], tuple[str, ...]]:
    """A stream for each person of the videos of a dataset, by the whole chain."""
    from pan_core.recognition.recognizer import Recognizer

    recognizer = Recognizer.from_pretrained(model)
    clips = pd.read_parquet("data/clips.parquet")
    clips = clips[clips["group"].isin(groups)]
    recordings = []
    for _, own in clips.groupby("group"):
        said, truth, offset, seconds = [], [], 0.0, 0.0
        for path, spans in own.groupby("path"):
            position = 0.0
            for update in stream(recognizer, str(Path("data/raw") / path), every_frame=True):
                if update.result and update.result.looked:
                    position = update.result.frame.position
                    people = {one.person: one.actions for one in update.result.people}
                    said.append((offset + position, people))
            for span in spans.itertuples():
                start = offset + span.start_frame / span.fps
                truth.append((span.label, start, start + span.n_frames / span.fps))
            # Far enough apart that nothing goes on into the next video.
            offset += position + 5.0
            seconds += position
        recordings.append(Recording(said, truth, seconds))
    return recordings, recognizer.network.actions


def report(
    training: Sequence[Recording], test: Sequence[Recording], actions: Sequence[str], labels: Sequence[str]
) -> None:
    """The table, as Markdown."""
    print(
        "| action | threshold, minimum | training: hits | misses/h | false alarms/h | test: hits | misses/h | false alarms/h |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    totals = []
    for label in labels:
        rule = best_rule(training, actions, label)
        found = score(training, actions, label, rule), score(test, actions, label, rule)
        totals.append(found)
        print(f"| {label} | {rule.threshold}, {rule.minimum_s} s | {found[0].line()} | {found[1].line()} |", flush=True)
    sums = [
        Score(
            *(sum(getattr(pair[part], name) for pair in totals) for name in ("hits", "misses", "false_alarms")),
            totals[0][part].hours,
        )
        for part in (0, 1)
    ]
    print(f"| all | | {sums[0].line()} | {sums[1].line()} |")
    print(f"\ntraining streams {sums[0].hours:.2f} h, test streams {sums[1].hours:.2f} h")


def main() -> None:
    """Print the table of one kind of streams."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("actors", "videos"))
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--hours", type=float, default=0.5, help="of test streams, and of training streams")
    parser.add_argument("--event", action="append", help="an action that is scored; all where left out")
    parser.add_argument("--model", type=Path, default=Path("models/pan/online-split1"))
    arguments = parser.parse_args()
    os.chdir(arguments.workspace)
    clips = pd.read_parquet("data/clips.parquet")
    parts = clips.groupby("group")["split1"].first()
    learnt, tested = (sorted(parts.index[parts.isin(names)]) for names in (("train", "val"), ("test",)))
    print(f"training: {', '.join(learnt)}; test: {', '.join(tested)}")
    if arguments.kind == "videos":
        (training, actions), (test, _) = (video_streams(arguments.model, groups) for groups in (learnt, tested))
    else:
        from pan_core.model.store import load_model

        network = TorchNetwork(load_model(arguments.model))
        rng = np.random.default_rng(0)
        training, test = (
            list(actor_streams(network, groups, hours=arguments.hours, rng=rng)) for groups in (learnt, tested)
        )
        actions = network.actions
    report(training, test, actions, arguments.event or actions)


if __name__ == "__main__":
    main()
