"""Videos that were given to the page: one after another is recognised, and kept until the server ends."""

import json
import os
import queue
import re
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from pan_core.datasets.probe_worker import decode_supervised
from pan_core.errors import PanError, VideoError
from pan_core.files import require_space, scratch_folder
from pan_core.live.picture import SceneStyle, background
from pan_core.recognition.predict_video import predict_video
from pan_core.recognition.recognizer import Recognizer
from pan_core.viewer.annotate import BROWSER_ENCODERS
from pan_core.workers.supervised import TaskFailure, run_supervised

MOST_BYTES = 2_000_000_000
MOST_KEPT = 20
STALL_S = 60.0
"""Longest time that a frame of an upload may take to decode."""


@dataclass
class Upload:
    """A video and what has come of it so far.

    Attributes:
        id: Unique.
        name: Of the file, as the browser gave it.
        state: "waiting", "working", "done" or "failed".
        reason: Why it failed.
        progress: Share that is done, 0..1.
        people: One line for each person, when it is done.
        folder: Where its files lie.
    """

    id: str
    name: str
    folder: Path
    state: str = "waiting"
    reason: str = ""
    progress: float = 0.0
    people: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For the page."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}


class Uploads:
    """Recognises uploaded videos in a thread of its own; a context manager, which removes them all in the end.

    Args:
        get_recognizer: Gives the recognizer.
        scene: What annotated videos show behind the skeletons.
        most_bytes: Larger ones are refused.
    """

    def __init__(
        self, get_recognizer: Callable[[], Recognizer], *, scene: SceneStyle, most_bytes: int = MOST_BYTES
    ) -> None:
        self._get_recognizer, self._scene, self.most_bytes = get_recognizer, scene, most_bytes
        self._known: dict[str, Upload] = {}
        self._waiting: queue.SimpleQueue[Upload | None] = queue.SimpleQueue()
        self._folder = Path()
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)

    def __enter__(self) -> "Uploads":
        self._folder = self._stack.enter_context(scratch_folder(_make_own_folder(), "uploads"))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join(timeout=1)
        self._stack.close()

    async def add(self, name: str, chunks: AsyncIterator[bytes]) -> Upload:
        """Take a video in.

        Raises:
            PanError: If it is too large or empty, or the disk is full.
        """
        # Its name is shown, and only the suffix is used.
        shown = Path(name.replace("\\", "/")).name[:100] or "video"
        suffix = re.sub(r"[^.a-z0-9]", "", Path(shown).suffix.lower())[:8]
        upload = Upload(uuid4().hex, shown, self._folder / uuid4().hex)
        require_space(upload.folder, 100_000_000, "an uploaded video")
        path, size = upload.folder / f"video{suffix}", 0
        try:
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self.most_bytes:
                        raise PanError(
                            f"{shown}: larger than {self.most_bytes / 1e6:.0f} MB; cut or encode it anew",
                            code="upload.too-large",
                        )
                    file.write(chunk)
            if size == 0:
                raise PanError(f"{shown}: the file is empty, expected a video", code="upload.empty")
        except OSError as error:
            shutil.rmtree(upload.folder, ignore_errors=True)
            raise PanError(f"{shown}: could not be kept ({error.strerror})", code="upload.not-kept") from error
        except BaseException:  # also a browser that goes away
            shutil.rmtree(upload.folder, ignore_errors=True)
            raise
        self._known[upload.id] = upload
        for old in [one for one in self._known.values() if one.state in ("done", "failed")][
            : max(0, len(self._known) - MOST_KEPT)
        ]:
            self.remove(old.id)
        self._waiting.put(upload)
        return upload

    def list(self) -> "list[Upload]":
        """All that are kept, the newest first."""
        return list(self._known.values())[::-1]

    def remove(self, upload: str) -> bool:
        """Forget a video and delete its files; returns whether it was known."""
        found = self._known.pop(upload, None)
        if found:
            shutil.rmtree(found.folder, ignore_errors=True)
        return found is not None

    def name(self, upload: str) -> str:
        """Name of the video as the browser gave it."""
        found = self._known.get(upload)
        return found.name if found else ""

    def file(self, upload: str, kind: str) -> Path | None:
        """The annotated "video" or the "timeline" of one that is done."""
        found = self._known.get(upload)
        pattern = {"video": "*_annotated.*", "timeline": "*_timeline.json"}.get(kind)
        if not found or found.state != "done" or not pattern:
            return None
        return next(found.folder.glob(pattern), None)

    def _run(self) -> None:
        while (upload := self._waiting.get()) is not None:
            if upload.id in self._known:
                self._recognise(upload)

    def _recognise(self, upload: Upload) -> None:
        upload.state = "working"

        def tell(done: int, total: int) -> None:
            upload.progress = done / max(total, 1)

        try:
            video = next(upload.folder.glob("video*"))
            _require_harmless(video)
            by = self._get_recognizer()
            found = predict_video(
                video,
                extractor=by.extractor,
                recognizer=by.network,
                out=upload.folder,
                model_name=by.name,
                progress=tell,
                encoders=BROWSER_ENCODERS,
                background=lambda frame: background(frame, self._scene),
            )
        except Exception as error:
            upload.state = "failed"
            told = str(error) if isinstance(error, PanError) else f"{type(error).__name__}: {error}"
            upload.reason = re.sub(r"(\S*/)?\bvideo\.\w+", lambda _: upload.name, told)
            return
        upload.people = [
            f"person {one.id}: {one.label}, {one.start_s:.1f} s to {one.end_s:.1f} s: "
            + ", ".join(f"{part.label} {part.start_s:.1f} s" for part in one.segments)
            for one in found.people
        ] or [str(found.reason)]
        upload.state, upload.progress = "done", 1.0


def _require_harmless(video: Path) -> None:
    """Decode a stranger's video in a process of its own first: what crashes or hangs a decoder must not end the server.

    Raises:
        VideoError: If it cannot be decoded, or not without that.
    """
    ((_, outcome),) = run_supervised({"": video}, decode_supervised, workers=1, stall_seconds=STALL_S)
    if isinstance(outcome, TaskFailure):
        raise VideoError(f"{video.name}: crashes or hangs the decoder; encode it anew", code="upload.harmful")
    if outcome is not None:
        raise outcome


def _make_own_folder() -> Path:
    """This user's own folder for uploads; what a killed server left in it goes with the next start.

    Raises:
        PanError: If somebody else made it.
    """
    place = Path(tempfile.gettempdir()) / f"pan-uploads-{os.getuid()}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != os.getuid():
        raise PanError(
            f"{place}: belongs to somebody else, so no uploads are kept there; choose another TMPDIR",
            code="upload.folder",
        )
    return place


def timeline_of(path: Path, name: str) -> dict[str, object]:
    """The timeline with the name that the video had."""
    return {**json.loads(path.read_text()), "video": name}
