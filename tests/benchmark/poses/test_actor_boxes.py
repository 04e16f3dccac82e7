"""A skeleton is on a person by the rule of five joints, four fifths inside and two fifths of the extent."""

import gzip

import numpy as np
import pytest
from refusals import refused

from pan_core.benchmark.poses.actor_boxes import box_at, is_on_actor, read_boxes

BOX = np.array(
    [100.0, 100.0, 200.0, 300.0]
)  # 100 wide, 200 high: a tenth is 10 and 20, two fifths of the longer side are 80


def pose(*places):
    """A pose whose first joints are at these places, and whose others were not found."""
    joints = np.full((18, 3), np.nan)
    joints[:, 2] = 0
    for joint, (x, y) in enumerate(places):
        joints[joint] = x, y, 0.5
    return joints


@pytest.mark.parametrize(
    ("places", "on"),
    [
        ([(110, 110), (120, 150), (130, 200), (140, 250), (150, 290)], True),
        ([(110, 110), (120, 150), (130, 200), (150, 290)], False),  # four joints
        ([(110, 110), (120, 150), (130, 200), (150, 290), (400, 200)], True),  # four of five inside
        ([(110, 110), (120, 150), (130, 200), (400, 290), (400, 200)], False),  # three of five
        ([(91, 110), (209, 150), (150, 81), (150, 319), (150, 290)], True),  # each within the tenth
        ([(89, 110), (211, 150), (150, 200), (150, 250), (150, 290)], False),  # two beyond it
        ([(150, 150), (150, 170), (150, 190), (150, 210), (150, 229)], False),  # they span 79
        ([(150, 150), (150, 170), (150, 190), (150, 210), (150, 230)], True),  # 80
        ([], False),
    ],
)
def test_the_rule(places, on):
    assert is_on_actor(pose(*places), BOX) is on


def test_between_two_annotated_frames_a_box_moves_evenly_and_beyond_the_last_it_stays():
    boxes = {8: np.array([10.0, 0, 20, 40]), 4: np.array([0.0, 0, 10, 20])}
    assert box_at(boxes, 5).tolist() == [2.5, 0, 12.5, 25]
    assert box_at(boxes, 0).tolist() == [0, 0, 10, 20]
    assert box_at(boxes, 30).tolist() == [10, 0, 20, 40]


def test_a_table_is_read_plain_and_gzipped(tmp_path):
    text = "clip,frame,x0,y0,x1,y1\na,0,1,2,3,4\na,2,5,6,7,8\nb,0,9,9,10,10\n"
    (tmp_path / "boxes.csv").write_text(text)
    with gzip.open(tmp_path / "boxes.csv.gz", "wt") as file:
        file.write(text)
    for name in ("boxes.csv", "boxes.csv.gz"):
        boxes = read_boxes(tmp_path / name, video="clip")
        assert {clip: sorted(frames) for clip, frames in boxes.items()} == {"a": [0, 2], "b": [0]}
        assert boxes["a"][2].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("text", ["clip,frame,x0,y0,x1\na,0,1,2,3\n", "video,frame,x0,y0,x1,y1\na,0,1,2,3,4\n",
                                  "clip,frame,x0,y0,x1,y1\na,0,1,2,3\n", "clip,frame,x0,y0,x1,y1\na,one,1,2,3,4\n"])  # fmt: skip
def test_another_table_is_refused(tmp_path, text):
    (tmp_path / "boxes.csv").write_text(text)
    with refused("benchmark.bad-boxes"):
        read_boxes(tmp_path / "boxes.csv", video="clip")


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    whole = gzip.compress(b"clip,frame,x0,y0,x1,y1\n" + b"a,0,1,2,3,4\n" * 1000)
    (tmp_path / "boxes.csv.gz").write_bytes(whole[: len(whole) // 2])
    with refused("benchmark.bad-boxes"):
        read_boxes(tmp_path / "boxes.csv.gz", video="clip")
