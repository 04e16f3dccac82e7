"""Pictures are sound SVG for light and dark pages, and say in words what they show."""

import functools
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest

from pan_core.viewer import plots
from pan_core.viewer.canvas import DARK, FAINT, GRID, INK, Picture


@functools.cache
def make(kind: str) -> Picture:
    rng = np.random.default_rng(0)
    history = [
        {"train_loss": 2 - n / 5, "val_loss": 2.1 - n / 5, "train_accuracy": n / 10, "val_accuracy": n / 20}
        for n in range(8)
    ]
    names = [f"class_{n}" for n in range(101)]
    makers = {
        "training": lambda: plots.training_curves({"clip mode": history, "online mode": history[:3]}),
        "one epoch": lambda: plots.training_curves({"clip mode": history[:1]}),
        "confusion": lambda: plots.confusion_matrix(np.array([[3, 1], [0, 0]]), ("left", "right")),
        "confusion of many": lambda: plots.confusion_matrix(np.diag(rng.integers(1, 40, 101)), names),
        "classes": lambda: plots.class_bars(np.array([1, np.nan, 0.25]), np.array([4, 0, 4]), ("a", "b", "c")),
        "observed": lambda: plots.observed_curve((0.1, 0.5, 1.0), {"online": np.array([0.2, 0.6, 0.9])}, 0.25),
        "calibration": lambda: plots.calibration_plot(
            np.array([np.nan, 0.8, 0.9]), np.array([np.nan, 0.0, 1.0]), np.array([0, 1, 1]), error=0.45
        ),
        "joints": lambda: plots.joint_bars(("nose", "left_hip"), {"actors": np.array([0.9, np.nan])}, 0.1),
        "clip class": lambda: plots.clip_class_bars({"clip mode": {"a": 0.9, "b": 0.25}, "online mode": {"a": 0.8}}),
        "boundaries": lambda: plots.boundary_errors({"ours": np.array([0.0, 2, -1]), "naive": np.array([9.0])}),
    }
    return makers[kind]()


KINDS = (
    "training", "one epoch", "confusion", "confusion of many", "classes", "observed", "calibration", "joints",
    "boundaries", "clip class",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_picture_is_sound_and_asks_for_nothing_outside(kind):
    picture = make(kind)
    root = ElementTree.fromstring(picture.svg)
    assert root.tag.endswith("svg")
    links = [value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert 200 < picture.width < 3000
    assert len(picture.alt) > 20


@pytest.mark.parametrize("kind", ["training", "confusion", "observed"])
def test_dark_picture_has_none_of_the_light_ink(kind):
    picture = make(kind)
    ElementTree.fromstring(picture.dark_svg)
    assert INK in picture.svg and DARK[INK] in picture.dark_svg
    assert INK not in picture.dark_svg and GRID not in picture.dark_svg


@pytest.mark.parametrize("colour", [INK, FAINT])
def test_letters_have_the_contrast_that_reading_needs(colour):
    """WCAG asks for 4.5 between letters and background; its formula, written out."""

    def luminance(text: str) -> float:
        parts = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    assert contrast(colour, "#ffffff") > 4.5
    assert contrast(DARK[colour], "#161d23") > 4.5


def numbers(kind: str) -> list[str]:
    """Numbers in the words of a picture, in order."""
    return re.findall(r"\d+(?:\.\d+)?", make(kind).alt)


def test_words_carry_the_figures():
    assert numbers("confusion") == ["2", "75.0", "4"]
    assert "clip mode ends at 35.0 %, online mode ends at 10.0 %" in make("training").alt
    assert numbers("observed") == ["20.0", "10", "60.0", "90.0", "25.0"]
    assert re.findall(r"([abc]) (\d+) %", make("classes").alt) == [("c", "25"), ("a", "100")]
    assert "clip mode: a 90.0 %, b 25.0 %; online mode: a 80.0 %" in make("clip class").alt
    assert re.findall(r"(ours|naive) ([\d.]+) frames", make("boundaries").alt) == [("ours", "1.00"), ("naive", "9.00")]
    # One of two clips is right; it says 0.9, the other 0.8: (0.1 + 0.8) / 2.
    assert numbers("calibration") == ["45.0"]


def test_a_picture_is_the_same_each_time_and_leaves_nothing_open():
    assert make("observed").svg == make.__wrapped__("observed").svg
    assert plt.get_fignums() == []
