"""People of a live source, with a scripted tracker in the place of the pose network."""

import time
import weakref
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from scripted_people import ScriptedExtractor, make_video, person, small_network, waving_network

from pan_core.errors import VideoError
from pan_core.live import camera as live_camera
from pan_core.live import watcher as watcher_module
from pan_core.live.camera import Camera, stream, watch
from pan_core.live.events import Event
from pan_core.live.model_reloader import ModelReloader
from pan_core.live.picture import SceneStyle, as_jpeg, draw
from pan_core.live.recent import Recent
from pan_core.live.source import Frame, Source, State
from pan_core.live.terminal import TimedPicture, at_even_rate
from pan_core.live.watcher import Watcher, strip_of
from pan_core.model.store import LoadedModel
from pan_core.recognition.event_rules import Rule
from pan_core.recognition.recognizer import Recognizer
from pan_core.recognition.stream import StreamRecognizer
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.skeletons import OPENPOSE18

EVEN = np.full((240, 320, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def wandering() -> TorchNetwork:
    """An untrained network whose answers differ from frame to frame."""
    torch.manual_seed(5)
    network = small_network(OPENPOSE18)
    with torch.no_grad():
        for head in (network.class_head, network.action_head):
            head.weight.mul_(50)
    return TorchNetwork(LoadedModel(network, ("a", "b", "c"), ("x", "y"), OPENPOSE18, "online", 32, 15.0, {}))


def frame(number: int, fps: float, *, source_part: str = "1", picture: np.ndarray = EVEN) -> Frame:
    return Frame(number, time.monotonic(), number / fps, fps, source_part, picture)


def watcher(network: TorchNetwork, script) -> Watcher:  # type: ignore[no-untyped-def]
    recognizer = Recognizer(network, ScriptedExtractor(script), "test")  # type: ignore[arg-type]
    return Watcher(lambda: recognizer)


def test_every_frame_gives_what_the_stream_recognizer_gives(wandering: TorchNetwork) -> None:
    """At 30 frames a second every second one is looked at."""
    poses = [person(100 + 3 * k) for k in range(20)]
    here, stream = watcher(wandering, lambda k: [(0, poses[k])]), StreamRecognizer(wandering, pose_fps=15)
    for number in range(40):
        result = here.update(frame(number, 30))
        assert result.looked == (number % 2 == 0)
        if result.looked:
            (expected,) = stream.update([(0, poses[number // 2])])
        np.testing.assert_array_equal(result.people[0].probabilities, expected.probabilities)


def test_dropped_frames_are_bridged_by_poses_between(wandering: TorchNetwork) -> None:
    """Somebody who moves evenly: what was dropped lies on the line between the neighbours."""
    looks = iter([0, 1, 2, 6, 7, 12, 13])
    here = watcher(wandering, lambda k: [(0, person(100 + 3 * next(looks)))])
    for number in (0, 1, 2, 6, 7, 12, 13):
        result = here.update(frame(number, 15))
    stream = StreamRecognizer(wandering, pose_fps=15)
    for number in range(14):
        (expected,) = stream.update([(0, person(100 + 3 * number))])
    np.testing.assert_allclose(result.people[0].probabilities, expected.probabilities, atol=1e-4)


def test_a_long_gap_and_another_connection_begin_anew(wandering: TorchNetwork) -> None:
    (fresh,) = StreamRecognizer(wandering, pose_fps=15).update([(0, person(100))])
    for later in (frame(600, 15), frame(0, 15, source_part="2")):
        here = watcher(wandering, lambda k: [(0, person(100))])
        for number in range(8):
            before = here.update(frame(number, 15))
        after = here.update(later)
        np.testing.assert_allclose(after.people[0].probabilities, fresh.probabilities, atol=1e-6)
        assert not np.allclose(before.people[0].probabilities, fresh.probabilities, atol=1e-3)


@pytest.mark.parametrize("shift", [-3600.0, -0.2, float("nan")])
def test_a_clock_that_jumps_back_loses_neither_frames_nor_people(wandering: TorchNetwork, shift: float) -> None:
    """After a second the source's clock is set back; the network sees every frame as if nothing had happened."""
    poses = [person(100 + 3 * k) for k in range(60)]
    here, plain = (watcher(wandering, lambda k: [(0, poses[k])]) for _ in range(2))
    looks = 0
    for number in range(60):
        undisturbed = plain.update(frame(number, 15))
        given = frame(number, 15)
        result = here.update(replace(given, position=given.position + shift) if number >= 15 else given)
        looks += result.looked
    # Time stands still for a moment if the frames are only out of order.
    assert looks == (57 if shift == -0.2 else 60)
    assert [one.person for one in result.people] == [one.person for one in undisturbed.people]
    if shift != -0.2:
        np.testing.assert_allclose(result.people[0].probabilities, undisturbed.people[0].probabilities, atol=1e-6)


def test_the_event_of_a_stream_whose_clock_jumps_comes_once() -> None:
    """Somebody waves all the time; the clock of the connection is set back by an hour, then ahead by half a second."""
    recognizer = Recognizer(waving_network(), ScriptedExtractor(lambda k: [(0, person(100))]), "test")  # type: ignore[arg-type]
    frames = [frame(number, 15) for number in range(90)]
    shifts = [0.0] * 30 + [-3600.0] * 30 + [-3599.5] * 30
    source = Given(*(replace(f, position=f.position + s) for f, s in zip(frames, shifts, strict=True)))
    updates = list(watch(source, lambda: recognizer, rules={"Wave": Rule()}))  # type: ignore[arg-type]
    events = [event for update in updates for event in update.events]
    assert [event.end_s is None for event in events] == [True, False]
    assert events[1].end_s == pytest.approx(89 / 15 + 0.5, abs=0.05)


def test_a_recognizer_brings_its_own_rules_and_the_next_one_others() -> None:
    """The first one's rule asks for three seconds of waving, the second one has none of its own."""
    extractor = ScriptedExtractor(lambda k: [(0, person(100))])
    strict = Recognizer(waving_network(), extractor, "1", rules={"Wave": Rule(minimum_s=3.0)})  # type: ignore[arg-type]
    plain = Recognizer(waving_network(), extractor, "2")  # type: ignore[arg-type]
    given = Given(*(frame(number, 15) for number in range(60)))
    began = [update.result.frame.number for update in watch(given, lambda: strict) if update.result and update.events]  # type: ignore[arg-type]
    assert began[0] == 45
    given = Given(*(frame(number, 15) for number in range(40)))
    recognizers = iter([strict] * 22 + [plain] * 99)
    updates = watch(given, recognizers.__next__)  # type: ignore[arg-type]
    labels = [event.label for update in updates for event in update.events]
    assert set(labels) == {"Wave"}


def test_numbers_of_people_are_never_given_twice(wandering: TorchNetwork) -> None:
    here = watcher(wandering, lambda k: [(0, person(100)), (3, person(200))])
    seen = [{one.person for one in here.update(frame(0, 15, source_part=part)).people} for part in ("1", "2", "3")]
    assert len(set.union(*seen)) == 6


def test_the_strip_is_pose_attention() -> None:
    """Shares of a softmax over the scores 1, 3, 2, as each frame came."""
    powers = np.exp([1.0, 3.0, 2.0])
    shares = [powers[k] / powers[: k + 1].sum() for k in range(3)]
    np.testing.assert_allclose(strip_of(shares), powers / powers.sum())


def test_what_is_remembered_does_not_grow(wandering: TorchNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody new at each of 50 frames; who is gone is forgotten after 2 s, which are 30 frames."""
    monkeypatch.setattr(watcher_module, "MOST_STRIPS", 10)
    here = watcher(wandering, lambda k: [(k, person(100))])
    for number in range(50):
        result = here.update(frame(number, 15))
    assert [one.person for one in result.people] == [49]
    assert (here.strip_count, here.people_count) == (10, 31)


def test_an_endless_stream_takes_no_memory(wandering: TorchNetwork) -> None:
    """A picture that is not shown any more is let go, and what is kept of people and events has an end."""
    here, recent, pictures = watcher(wandering, lambda k: [(0, person(100))]), Recent(), []
    names = [*(str(number * 3) for number in range(60)), *(f"more {number}" for number in range(200))]
    for number in range(60):
        picture = EVEN.copy()
        pictures.append(weakref.ref(picture))
        recent.take(here.update(frame(number, 15, picture=picture)))
        recent.keep(Event(str(number * 3), "hall", "1", 0, "x", number / 15, number / 15, 0.5))
        del picture
    for number in range(200):
        recent.keep(Event(f"more {number}", "hall", "1", 0, "x", 1.0, 2.0, 0.5))
    assert sum(picture() is not None for picture in pictures) == 1
    assert len(recent.events) == 100
    assert sum(recent.replay(name) is not None for name in names) == 100


def test_no_pixel_of_the_scene_is_drawn_where_none_may_be(wandering: TorchNetwork) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 240, 320, 3)).astype(np.uint8)
    pictures = {}
    for scene in SceneStyle:
        updates = [
            watcher(wandering, lambda k: [(0, person(100))]).update(frame(0, 15, picture=picture)) for picture in noise
        ]
        pictures[scene] = [draw(update, scene) for update in updates]
        assert as_jpeg(pictures[scene][0])[:2] == b"\xff\xd8"
    np.testing.assert_array_equal(*pictures[SceneStyle.NONE])
    # Of two scenes of noise a blurred picture keeps 20 x 15 means, which differ little; the noise itself by 85.
    difference = {scene: np.abs(np.subtract(*[p.astype(int) for p in pair])).mean() for scene, pair in pictures.items()}
    assert difference[SceneStyle.FULL] > 70
    assert difference[SceneStyle.BLUR] < 8


def test_a_file_is_watched_to_its_end_and_its_events_are_told(tmp_path: Path) -> None:
    """Somebody waves from second 1 to 3 of a video of 4 s."""
    video = make_video(tmp_path / "walk.avi", frames=60, fps=15)
    script = lambda k: [(0, person(100))] if 15 <= k < 45 else []  # noqa: E731
    recognizer = Recognizer(waving_network(), ScriptedExtractor(script), "test")  # type: ignore[arg-type]
    with Source(str(video), every_frame=True) as source:
        updates = list(watch(source, lambda: recognizer, rules={"Wave": Rule()}))
    assert sum(update.result is not None for update in updates) == 60
    (over,) = [event for update in updates for event in update.events if event.end_s is not None]
    assert (over.label, over.part, over.start) == ("Wave", "walk.avi", "")
    assert (over.start_s, over.end_s) == (pytest.approx(1.0, abs=1e-3), pytest.approx(44 / 15, abs=1e-3))


def test_a_camera_keeps_skeletons_of_its_events_and_says_why_it_fails(tmp_path: Path) -> None:
    video = make_video(tmp_path / "walk.avi", frames=30, fps=15)
    recognizer = Recognizer(waving_network(), ScriptedExtractor(lambda k: [(0, person(100))]), "test")  # type: ignore[arg-type]
    with Camera(Source(str(video), every_frame=True), lambda: recognizer, rules={"Wave": Rule()}) as camera:
        camera.join(timeout=60)
    (event,) = camera.recent.events.values()
    replay = camera.recent.replay(event.id)
    assert replay is not None
    assert replay.joints.shape == (30, 18, 3)
    assert replay.size == (320, 240)
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with Camera(Source(str(tmp_path / "x.mp4")), lambda: recognizer) as camera:
        camera.join(timeout=60)
    assert camera.fault.startswith("VideoError: ")
    with pytest.raises(VideoError):
        list(stream(recognizer, str(tmp_path / "x.mp4")))


def test_another_champion_takes_over_between_two_frames(wandering: TorchNetwork) -> None:
    extractor = ScriptedExtractor(lambda k: [(0, person(100))])
    first, second = (Recognizer(n, extractor, name) for n, name in ((wandering, "1"), (waving_network(), "2")))  # type: ignore[arg-type]
    state = {"version": 1, "load": first, "broken": False}

    def version() -> object:
        if state["broken"]:
            raise OSError("registry away")
        return state["version"]

    with ModelReloader(version, lambda: state["load"], every_s=0.02) as champion:  # type: ignore[arg-type, return-value]
        here = Watcher(champion)
        assert here.update(frame(0, 15)).by.name == "1"
        state["broken"] = True
        while not champion.fault:
            time.sleep(0.01)
        assert here.update(frame(1, 15)).by.name == "1"
        state.update(broken=False, load=second, version=2)
        while champion() is first:
            time.sleep(0.01)
        after = here.update(frame(2, 15))
        assert (after.by.name, after.people[0].caption.label) == ("2", "Wave")
        state.update(load=first, version=None)
        while "there is none any more" not in champion.fault:
            time.sleep(0.01)
        assert champion() is second


class Given:
    """A source that lasts, of frames that are given."""

    name, lasting, closed, reason, frames_seen = "hall", True, False, "", 1

    def __init__(self, *frames: Frame | None) -> None:
        self._frames = list(frames)
        self.state = State.LIVE

    def read(self, timeout: float) -> Frame | None:
        found = self._frames.pop(0) if self._frames else None
        self.state = State.LIVE if self._frames or found else State.ENDED
        return found


def test_a_frame_that_cannot_be_looked_at_is_told_and_the_camera_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_camera, "FIRST_PAUSE_S", 1e-9)

    def script(k: int) -> list:
        if k in (20, 21):
            raise ValueError("cannot be divided")
        return [(0, person(100))]

    recognizer = Recognizer(waving_network(), ScriptedExtractor(script), "test")  # type: ignore[arg-type]
    source = Given(*(frame(number, 15) for number in range(50)))
    updates = list(watch(source, lambda: recognizer, rules={"Wave": Rule()}, go_on=True))  # type: ignore[arg-type]
    assert [update.fault for update in updates if update.fault] == ["ValueError: cannot be divided"] * 2
    over = [event for update in updates for event in update.events if event.end_s is not None]
    assert [(round(15 * event.start_s), round(15 * (event.end_s or 0))) for event in over] == [(0, 19), (22, 49)]
    broken = Recognizer(waving_network(), ScriptedExtractor(lambda k: script(20)), "test")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        list(watch(Given(frame(0, 15)), lambda: broken))  # type: ignore[arg-type]


def test_events_have_the_time_of_day_of_their_own_part() -> None:
    """One connection breaks off in the middle of an action, the next begins 100 s later at 0 again, and ends."""
    now = time.monotonic()

    def at(number: int, begun: float, part: str) -> Frame:
        return Frame(number, now + begun + number / 15, number / 15, 15, part, EVEN)

    recognizer = Recognizer(waving_network(), ScriptedExtractor(lambda k: [(0, person(100))]), "test")  # type: ignore[arg-type]
    source = Given(*(at(k, -200, "1") for k in range(15)), *(at(k, -100, "2") for k in range(30)))
    updates = watch(source, lambda: recognizer, rules={"Wave": Rule()})  # type: ignore[arg-type]
    over = [event for update in updates for event in update.events if event.end_s is not None]
    zero = time.time() - time.monotonic() + now
    assert [event.part for event in over] == ["1", "2"]
    for event, start, end in zip(over, (-200, -100), (14 / 15, 29 / 15), strict=True):
        assert datetime.fromisoformat(event.start).timestamp() == pytest.approx(zero + start, abs=0.05)
        assert datetime.fromisoformat(event.end).timestamp() == pytest.approx(zero + start + end, abs=0.05)


def test_an_action_that_the_next_champion_does_not_know_is_told(
    wandering: TorchNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    extractor = ScriptedExtractor(lambda k: [(0, person(100))])
    first, second = (Recognizer(n, extractor, name) for n, name in ((waving_network(), "1"), (wandering, "2")))  # type: ignore[arg-type]
    updates = watch(
        Given(frame(0, 15), frame(1, 15)), iter([first] * 3 + [second] * 9).__next__, rules={"Wave": Rule()}
    )  # type: ignore[arg-type]
    assert [update.unknown for update in updates][:2] == [(), ("Wave",)]
    assert "Wave" in caplog.text


def test_a_video_of_a_stream_lasts_as_long_as_the_stream() -> None:
    """Positions tremble, one frame is missing, and the second connection begins anew."""
    positions = [0.0, 0.101, 0.14, 0.199, 0.41, 0.5, 0.0, 0.1, 0.12]
    pictures = [np.full((2, 2, 3), number, np.uint8) for number in range(len(positions))]
    timed = (TimedPicture(at, 10.0, picture) for at, picture in zip(positions, pictures, strict=True))
    shown = [int(picture[0, 0, 0]) for picture in at_even_rate(timed, 10.0)]
    assert shown == [0, 1, 3, 3, 4, 5, 6, 7]
