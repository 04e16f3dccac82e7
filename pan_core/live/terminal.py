"""`pan watch`: one source, its captions and events as lines, and if wanted a window or an annotated video."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import cv2
import numpy as np

from pan_core.errors import PanError
from pan_core.live.camera import StreamUpdate, watch
from pan_core.live.events import ALL, Event, Rules
from pan_core.live.picture import Scene, draw
from pan_core.live.source import Source, State
from pan_core.live.watcher import FrameResult
from pan_core.recognition.recognizer import Recognizer
from pan_core.viewer.annotate import write_video

# A line of captions is printed no more often than this.
LINE_S = 1.0
# A gap in a live source is filled with its last picture, up to so many seconds.
LONGEST_HOLD_S = 10.0


def watch_here(
    address: str,
    in_use: Callable[[], Recognizer],
    *,
    say: Callable[[str], None],
    put_event: Callable[[Event], None],
    rules: Rules = ALL,
    scene: Scene = Scene.FULL,
    window: bool = False,
    out: Path | None = None,
) -> str:
    """Watch a source until it ends, or until Ctrl+C, which ends it properly.

    Args:
        address: The source.
        in_use: As for `watch`.
        say: Prints a line.
        put_event: Takes each event.
        rules: As for `watch`.
        scene: What window and video show behind the skeletons.
        window: Show what is seen; q or Esc ends it. Then a file plays at its own rate, and frames may be dropped.
        out: Annotated video to write.

    Returns:
        What came of it, in one line.

    Raises:
        PanError: Where the source cannot be opened, or there is no screen for a window.
    """
    seen, latencies = set[int](), list[float]()

    def said(state: State, reason: str) -> None:
        say(f"{address_name(source)}: {state.value}{f', {reason}' if reason else ''}")

    source = Source(address, every_frame=not window, on_state=said)

    def watched() -> Iterator[FrameResult]:
        line, unknown = _Line(say), tuple[str, ...]()
        for moment in watch(source, in_use, rules=rules, go_on=source.lasting):
            if moment.fault:
                say(f"{address_name(source)}: a frame could not be looked at, {moment.fault}")
            if moment.unknown != unknown:
                unknown = moment.unknown
                say(f"{address_name(source)}: no events of: {', '.join(unknown) or 'none, all are known again'}")
            for event in moment.events:
                put_event(event)
                if event.end_s is not None:
                    say(_told(event))
            if moment.watched:
                if moment.watched.looked:
                    latencies.append(moment.watched.latency_s)
                    del latencies[:-1000]
                seen.update(one.person for one in moment.watched.people)
                line.show(moment)
                yield moment.watched

    def pictures() -> Iterator[tuple[float, float, np.ndarray]]:
        for one in watched():
            picture = draw(one, scene)
            if window and not _shown(picture, source.name):
                source.close()
            yield one.frame.position, one.frame.fps, picture

    with _ended_by_signals(source), source:
        if out:
            out = _record(out, pictures())
        else:
            for _ in pictures() if window else watched():
                pass
    p90 = (
        f", p90 {1000 * np.percentile(latencies, 90):.0f} ms from frame to caption"
        if latencies and source.lasting
        else ""
    )
    written = f"; written: {out}" if out else ""
    return f"{source.frames_seen} frames, {source.dropped} dropped, people: {len(seen)}{p90}{written}"


def address_name(source: Source) -> str:
    """Time of day and the source's name."""
    return f"{time.strftime('%H:%M:%S')} {source.name}"


class _Line:
    """Prints captions when they change, once a second at most."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last, self._next_s = say, "", 0.0

    def show(self, moment: StreamUpdate) -> None:
        assert moment.watched
        watched = moment.watched
        labels = ", ".join(f"person {one.person}: {one.caption.label}" for one in watched.people)
        if labels == self._last or time.monotonic() < self._next_s:
            return
        self._last, self._next_s = labels, time.monotonic() + LINE_S
        people = ", ".join(f"person {one.person}: {one.caption}" for one in watched.people)
        self._say(f"{watched.frame.position:8.1f} s  {people or 'nobody'}")


def _told(event: Event) -> str:
    return (
        f"   event   {event.label}, person {event.person}, {event.start_s:.1f} s to {event.end_s:.1f} s, "
        f"{100 * event.confidence:.0f} %"
    )


def _record(out: Path, pictures: Iterator[tuple[float, float, np.ndarray]]) -> Path:
    """Encode pictures at an even rate and in the size of the first."""
    first = next(pictures, None)
    if first is None:
        raise PanError(f"{out}: nothing to write, the source gave no frame")
    _, fps, picture = first
    return write_video(out, _steady(picture, pictures, fps), fps=fps)


def _steady(
    picture: np.ndarray, pictures: Iterator[tuple[float, float, np.ndarray]], fps: float
) -> Iterator[np.ndarray]:
    """A picture for each frame of a constant rate: the last is held over gaps, and one that comes early is left out."""
    height, width = picture.shape[:2]
    slot, before = 0, 0.0
    yield picture
    for position, _, following in pictures:
        if position < before:  # another video or connection begins at 0 again
            slot = round(position * fps) - 1
        before, missing = position, round(position * fps) - slot - 1
        if missing < 0:
            continue  # it came early: its place in time is taken
        for _ in range(min(missing, round(LONGEST_HOLD_S * fps))):
            yield picture
        slot = round(position * fps)
        if following.shape[:2] != (height, width):
            following = cv2.resize(following, (width, height))
        picture = following
        yield picture


def _shown(picture: np.ndarray, name: str) -> bool:
    """Show a picture; returns whether more are wanted."""
    try:
        cv2.imshow(f"PAN: {name}", picture)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
    except cv2.error as error:
        raise PanError(
            "no screen for a window here; leave out --window, or see it in a browser with `pan serve`"
        ) from error


@contextmanager
def _ended_by_signals(source: Source) -> Iterator[None]:
    """Ctrl+C and SIGTERM close the source, so that what was written so far becomes a whole file."""

    def close(number: int, frame: FrameType | None) -> None:
        # In a thread: the main one may hold the lock that closing takes.
        import threading

        threading.Thread(target=source.close, daemon=True).start()

    before = {number: signal.signal(number, close) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
