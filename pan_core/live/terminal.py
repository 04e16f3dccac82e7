"""`pan watch`: one source, its captions and events as lines, and if wanted a window or an annotated video."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from types import FrameType

import cv2
import numpy as np

from pan_core.errors import PanError
from pan_core.files import list_files, require_output_file
from pan_core.live.address import Kind, read_address
from pan_core.live.camera import StreamUpdate, watch
from pan_core.live.events import Event
from pan_core.live.picture import SceneStyle, draw
from pan_core.live.source import Source, State
from pan_core.live.watcher import FrameResult
from pan_core.recognition.event_rules import OWN, Rules
from pan_core.recognition.recognizer import Recognizer
from pan_core.viewer.annotate import ENCODERS, write_video

# A line of captions is printed no more often than this.
LINE_S = 1.0
# Frames whose latency counts for the last line.
KEPT_LATENCIES = 1000
# A gap in a live source is filled with its last picture, up to so many seconds.
LONGEST_HOLD_S = 10.0


@dataclass(frozen=True)
class TimedPicture:
    """An annotated picture.

    Attributes:
        position_s: Seconds since the start of the video or connection.
        fps: Frames a second of the source.
        picture: Shape (H, W, 3), uint8, BGR.
    """

    position_s: float
    fps: float
    picture: np.ndarray


def watch_here(
    address: str,
    get_recognizer: Callable[[], Recognizer],
    *,
    say: Callable[[str], None],
    put_event: Callable[[Event], None],
    rules: Rules = OWN,
    scene: SceneStyle = SceneStyle.FULL,
    window: bool = False,
    out: Path | None = None,
) -> str:
    """Watch a source until it ends, or until Ctrl+C, which ends it properly.

    Args:
        address: The source.
        get_recognizer: As for `watch`.
        say: Prints a line.
        put_event: Takes each event.
        rules: As for `watch`.
        scene: What window and video show behind the skeletons.
        window: Show what is seen; q or Esc ends it. Then a file plays at its own rate, and frames may be dropped.
        out: Annotated video to write.

    Returns:
        Summary in one line.

    Raises:
        PanError: If the source cannot be opened, or there is no screen for a window.
    """
    place = read_address(address)
    report = StreamReport(place.name, say=say, put_event=put_event)
    source = Source(place, every_frame=not window, on_state=report.print_state)
    with _close_on_signals(source), source:
        updates = watch(source, get_recognizer, rules=rules, go_on=source.lasting)
        if window or out:
            pictures = _draw_results(report.pass_on(updates), scene)
            written = _record(out, _show_pictures(pictures, source) if window else pictures)
        else:
            written = None
            for update in updates:
                report.take(update)
    return report.summarize(source, written)


def choose_video_file(out: Path, address: str) -> Path:
    """File for the annotated video of a source: `out`, or that name with a number if there is such a file already.

    Args:
        out: As the user named it; the encoder decides on the suffix.
        address: The source.

    Raises:
        PanError: If it is a video of the source, or cannot be written.
    """
    place = read_address(address)
    sources = {Kind.FILE: lambda: [Path(place.target)], Kind.FOLDER: lambda: list_files(Path(place.target)).files}
    videos = sources.get(place.kind, list)()
    for name in [out, *_encoded(out)]:
        require_output_file(name, videos)
    if place.kind == Kind.FOLDER and out.resolve().is_relative_to(Path(place.target).resolve()):
        raise PanError(
            f"{out}: lies in the folder that is watched, and would be taken for a video of it; name a file elsewhere",
            code="output.in-source",
        )
    names = chain([out], (out.with_stem(f"{out.stem}-{number}") for number in count(2)))
    return next(name for name in names if not any(os.path.lexists(each) for each in _encoded(name)))


def _encoded(out: Path) -> list[Path]:
    """Files of which an encoder writes one."""
    return [out.with_suffix(suffix) for suffix, _ in ENCODERS]


class StreamReport:
    """Prints what happens at one source, hands on its events, and counts for the summary.

    Args:
        name: Name of the source.
        say: Prints a line.
        put_event: Takes each event.
    """

    def __init__(self, name: str, *, say: Callable[[str], None], put_event: Callable[[Event], None]) -> None:
        self._name, self._say, self._put_event = name, say, put_event
        self._captions = CaptionLines(say)
        self._people: set[int] = set()
        self._latencies: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._unknown: tuple[str, ...] = ()

    def print_state(self, state: State, reason: str) -> None:
        """Print a change of the source's state."""
        self._print(f"{state.value}{f', {reason}' if reason else ''}")

    def take(self, update: StreamUpdate) -> None:
        """Take in what came of one frame."""
        if update.fault:
            self._print(f"a frame could not be looked at, {update.fault}")
        if update.unknown != self._unknown:
            self._unknown = update.unknown
            self._print(f"no events of: {', '.join(update.unknown) or 'none, all are known again'}")
        for event in update.events:
            self._put_event(event)
            if event.end_s is not None:
                self._say(_describe_event(event))
        if update.result:
            if update.result.looked:
                self._latencies.append(update.result.latency_s)
            self._people.update(one.person for one in update.result.people)
            self._captions.print(update.result)

    def pass_on(self, updates: Iterable[StreamUpdate]) -> Iterator[FrameResult]:
        """Take in each update, and give its result if it has one."""
        for update in updates:
            self.take(update)
            if update.result:
                yield update.result

    def summarize(self, source: Source, written: Path | None) -> str:
        """Frames, people and latency in one line, and the video that was written."""
        parts = [f"{source.frames_seen} frames", f"{source.dropped} dropped", f"people: {len(self._people)}"]
        if self._latencies and source.lasting:
            parts.append(f"p90 {1000 * np.percentile(self._latencies, 90):.0f} ms from frame to caption")
        return ", ".join(parts) + (f"; written: {written}" if written else "")

    def _print(self, text: str) -> None:
        self._say(f"{time.strftime('%H:%M:%S')} {self._name}: {text}")


class CaptionLines:
    """Prints captions when they change, once a second at most."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last, self._next_s = say, "", 0.0

    def print(self, result: FrameResult) -> None:
        """Print the captions of a frame, unless they are those of the last line or it is too early."""
        labels = ", ".join(f"person {one.person}: {one.caption.label}" for one in result.people)
        if labels == self._last or time.monotonic() < self._next_s:
            return
        self._last, self._next_s = labels, time.monotonic() + LINE_S
        people = ", ".join(f"person {one.person}: {one.caption}" for one in result.people)
        self._say(f"{result.frame.position:8.1f} s  {people or 'nobody'}")


def _describe_event(event: Event) -> str:
    return (
        f"   event   {event.label}, person {event.person}, {event.start_s:.1f} s to {event.end_s:.1f} s, "
        f"{100 * event.confidence:.0f} %"
    )


def _draw_results(results: Iterable[FrameResult], scene: SceneStyle) -> Iterator[TimedPicture]:
    for result in results:
        yield TimedPicture(result.frame.position, result.frame.fps, draw(result, scene))


def _show_pictures(pictures: Iterable[TimedPicture], source: Source) -> Iterator[TimedPicture]:
    """Show each picture in a window and hand it on; q or Esc closes the source.

    Raises:
        PanError: If there is no screen.
    """
    for timed in pictures:
        try:
            cv2.imshow(f"PAN: {source.name}", timed.picture)
            if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
                source.close()
        except cv2.error as error:
            raise PanError(
                "no screen for a window here; leave out --window, or see it in a browser with `pan serve`",
                code="watch.no-screen",
            ) from error
        yield timed


def _record(out: Path | None, pictures: Iterator[TimedPicture]) -> Path | None:
    """Encode pictures at an even rate and in the size of the first; without a file, only let them pass.

    Raises:
        PanError: If there is no picture for the file.
    """
    if out is None:
        deque(pictures, maxlen=0)
        return None
    first = next(pictures, None)
    if first is None:
        raise PanError(f"{out}: nothing to write, the source gave no frame", code="watch.no-frame")
    return write_video(out, at_even_rate(chain([first], pictures), first.fps), fps=first.fps)


def at_even_rate(pictures: Iterable[TimedPicture], fps: float) -> Iterator[np.ndarray]:
    """Give one picture for each frame of a constant rate, all in the size of the first.

    The last picture is held over a gap. A picture that comes before its slot in time is left out.
    """
    size: tuple[int, int] | None = None
    picture: np.ndarray = np.zeros(0)
    slot, before = 0, 0.0
    for timed in pictures:
        if size is None:
            size, picture = timed.picture.shape[1::-1], timed.picture
            yield picture
            continue
        if timed.position_s < before:  # another video or connection begins at 0 again
            slot = round(timed.position_s * fps) - 1
        before, missing = timed.position_s, round(timed.position_s * fps) - slot - 1
        if missing < 0:
            continue
        for _ in range(min(missing, round(LONGEST_HOLD_S * fps))):
            yield picture
        slot = round(timed.position_s * fps)
        picture = timed.picture if timed.picture.shape[1::-1] == size else cv2.resize(timed.picture, size)
        yield picture


@contextmanager
def _close_on_signals(source: Source) -> Iterator[None]:
    """Ctrl+C and SIGTERM close the source, so that what was written so far becomes a whole file."""

    def close(number: int, frame: FrameType | None) -> None:
        # In a thread: the main one may hold the lock that closing takes.
        threading.Thread(target=source.close, daemon=True).start()

    before = {number: signal.signal(number, close) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
