"""Which clips are shown, and that every kind of clip can be drawn."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from pan_core.evaluation.attention_figures import example_clips, filmstrip, joints_heatmap


def test_examples_are_ordinary_successes_and_the_surest_mistake(predictions):
    """LongJump has two actions, so it comes first; of two clips the one of lower confidence is the median."""
    assert example_clips(predictions, 4) == [4, 1, 2, 3]
    assert example_clips(predictions, 2) == [4, 3]
    assert example_clips(predictions, 1) == [4]


def test_examples_without_mistakes_or_without_successes(predictions):
    # Taken as LongJump all three of clips 3, 4 and 5 are right; 0.8 is the median of 0.8, 0.6 and 0.95.
    assert example_clips(replace(predictions, labels=predictions.predictions), 4) == [3, 1, 2]
    assert example_clips(replace(predictions, labels=(predictions.predictions + 1) % 3), 4) == [5]


def test_filmstrip_says_what_it_shows(predictions):
    picture = filmstrip(predictions, 3)
    ElementTree.fromstring(picture.svg)
    assert "true class Walk, predicted LongJump with 80 %" in picture.alt
    assert "most attended joint left wrist, most attended frame 2 of 6" in picture.alt


@pytest.mark.parametrize("clip", [0, 5])
def test_missing_people_and_short_clips_are_drawn(predictions, clip):
    """Clip 0 has a frame without anybody, clip 5 has 4 frames and so fewer than 8 instants."""
    for picture in (filmstrip(predictions, clip), joints_heatmap(predictions, clip)):
        assert ElementTree.fromstring(picture.svg).tag.endswith("svg")


def test_a_clip_of_one_frame_without_anybody_and_without_true_actions(predictions):
    lost = predictions.joints.copy()
    lost[:] = np.nan, np.nan, 0
    bare = replace(predictions, joints=lost, frame_targets=None, lengths=np.ones(6, int))
    ElementTree.fromstring(filmstrip(bare, 0).svg)
    assert example_clips(bare, 2) == [1, 3]
