"""Uploaded videos of strangers: one that crashes a decoder costs itself, not the server."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pan_core.live.picture import SceneStyle
from pan_core.live.uploads import Upload, Uploads
from pan_core.viewer.annotate import write_video

CRASHING_DECODER = """
import os
import cv2

real = cv2.VideoCapture

def open_capture(path, *arguments):
    with open(path, "rb") as file:
        if file.read().endswith(b"crash"):
            os.abort()
    return real(path, *arguments)

cv2.VideoCapture = open_capture
"""


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


def ended(upload: Upload) -> Upload:
    end = time.monotonic() + 60
    while upload.state not in ("done", "failed") and time.monotonic() < end:
        time.sleep(0.05)
    return upload


@pytest.mark.timeout(120)
def test_a_video_that_crashes_its_decoder_fails_and_the_next_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CRASHING_DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    good = write_video(tmp_path / "good.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 5, fps=15).read_bytes()

    def recognizer() -> Any:
        raise RuntimeError("reached")

    with Uploads(recognizer, scene=SceneStyle.FULL) as uploads:
        crash = ended(asyncio.run(uploads.add("wave.mp4", chunks(good + b"crash"))))
        assert (crash.state, crash.reason) == ("failed", "wave.mp4: crashes or hangs the decoder; encode it anew")
        fine = ended(asyncio.run(uploads.add("next.mp4", chunks(good))))
        assert (fine.state, fine.reason) == ("failed", "RuntimeError: reached")
