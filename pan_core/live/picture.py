"""The annotated picture of a frame, with the scene, with a blurred one, or without any."""

from enum import Enum

import cv2
import numpy as np

from pan_core.live.watcher import FrameResult
from pan_core.recognition.predict_video import draw_people

# A blurred scene has so many pixels on its longer side: a room can be told, a face or a text cannot.
BLUR_SIDE = 20
LONGEST_SIDE = 960
EMPTY = (24, 20, 16)
JPEG_QUALITY = 80


class SceneStyle(Enum):
    """What is shown behind the skeletons."""

    FULL = "full"
    BLUR = "blur"
    NONE = "none"


def draw(result: FrameResult, scene: SceneStyle) -> np.ndarray:
    """A picture of its own, (H, W, 3) uint8, BGR; but for `FULL` it holds no pixel of the scene."""
    picture = background(result.frame.picture, scene)
    draw_people(picture, result.people, result.by.network.layout)
    return picture


def background(frame: np.ndarray, scene: SceneStyle) -> np.ndarray:
    """A new picture of the frame's size, to draw on."""
    if scene is SceneStyle.FULL:
        return frame.copy()
    if scene is SceneStyle.NONE:
        return np.full_like(frame, EMPTY)
    height, width = frame.shape[:2]
    share = min(1.0, BLUR_SIDE / max(height, width))
    coarse = cv2.resize(
        frame, (max(1, round(width * share)), max(1, round(height * share))), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def as_jpeg(picture: np.ndarray) -> bytes:
    """For a page: at most 960 pixels wide or high."""
    share = LONGEST_SIDE / max(picture.shape[:2])
    if share < 1:
        picture = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
