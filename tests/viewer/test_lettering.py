"""What a font lacks is written in words, in videos and in plots."""

import unicodedata

import numpy as np
import pytest
from matplotlib.font_manager import findfont, get_font

from pan_core.viewer import plots
from pan_core.viewer.canvas import FONTS
from pan_core.viewer.drawing import draw_caption
from pan_core.viewer.lettering import readable

LABELS = ("👋 wave", "✋🏽 stop", "👨‍👩‍👧", "🇩🇪", "挥手", "नमस्ते", "นั่ง", "A\tB\nC", "zero\u200bwidth\u202e")


def no_glyph(character: str) -> bool:
    return character.isascii() and character.isprintable()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Waving 80 %", "Waving 80 %"),
        ("👋 Waving", ":waving hand sign: Waving"),
        ("✋🏽 stop", ":raised hand: stop"),
        ("👨‍👩‍👧", ":man::woman::girl:"),
        ("🇩🇪 1️⃣", "DE 1"),
        ("हाथ", "haaatha"),
        ("挥手", "U+6325U+624B"),
        ("A\tB\nC", "A B C"),
        ("x\u200by", "xy"),
        ("\U000e0fff", "U+E0FFF"),
    ],
)
def test_what_has_no_glyph_is_named(text, written):
    assert readable(text, no_glyph) == written


def test_what_has_a_glyph_stays():
    assert readable("Grüßen Ёлка 挥手", lambda _: True) == "Grüßen Ёлка 挥手"


@pytest.mark.parametrize("label", LABELS)
def test_a_caption_has_no_boxes(label):
    """OpenCV draws a question mark for what it lacks: the caption differs from that of the label with question marks."""

    def draw(text):
        frame = np.full((200, 900, 3), 128, np.uint8)
        draw_caption(frame, text)
        return frame

    asked = "".join("?" if ord(each) > 0x2FF or not each.isprintable() else each for each in label)
    silent = "".join("" if unicodedata.category(each) in ("Cf", "Sk") else each for each in asked)
    assert not np.array_equal(draw(label), draw(asked))
    assert not np.array_equal(draw(label), draw(silent))


def test_an_emoji_in_a_caption_is_its_name():
    frames = [np.full((200, 900, 3), 128, np.uint8) for _ in range(2)]
    for frame, text in zip(frames, ("👋 wave", ":waving hand sign: wave"), strict=True):
        draw_caption(frame, text)
    assert np.array_equal(*frames)


@pytest.mark.filterwarnings("error::UserWarning")  # matplotlib warns of a glyph that is missing
def test_plots_draw_every_label():
    labels = (*LABELS, "$x$ cost$", "A=B")
    count = len(labels)
    plots.confusion_matrix(np.eye(count, dtype=int) + 1, labels)
    plots.class_bars(np.linspace(0.2, 1, count), np.arange(count) + 1, labels)
    plots.training_curves(
        {"👋 挥手": [{"train_loss": 1.0, "val_loss": 1.0, "train_accuracy": 0.5, "val_accuracy": 0.5}]}
    )
    assert not get_font(findfont(FONTS[0])).get_char_index(ord("👋")), "nothing was missing"
