"""Text that a font can draw: what has no glyph is written in words instead of a box."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

_SILENT = ("Cf", "Cc", "Mn")
"""Categories of joiners, variation selectors and control characters: without a glyph they are left out."""

_PART = re.compile(r".* (?:LETTER|CHARACTER|SYLLABLE|VOWEL SIGN|DIGIT) (?:SARA )?(.+)")


def readable(text: str, has_glyph: Callable[[str], bool]) -> str:
    """A text with what a font lacks in words: 👋 becomes :waving hand sign:, a letter its name's last part.

    Args:
        text: Any text.
        has_glyph: Whether the font draws a character.
    """
    if text.isascii() and text.isprintable():
        return text
    text = unicodedata.normalize("NFC", text)
    return "".join(each if has_glyph(each) else _describe(each) for each in text if not _is_mark_of_emoji(each))


def _is_mark_of_emoji(character: str) -> bool:
    """Whether it only changes the look of the emoji before it: colour of skin, variation, joiner, keycap."""
    return character in "\u200d\ufe0e\ufe0f\u20e3" or 0x1F3FB <= ord(character) <= 0x1F3FF


@lru_cache(maxsize=4096)
def _describe(character: str) -> str:
    name = unicodedata.name(character, "")
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    if part := _PART.fullmatch(name):
        return part[1].lower() if not name.startswith("REGIONAL INDICATOR") else part[1]
    if unicodedata.category(character) in _SILENT:
        return ""
    return f":{name.lower()}:" if name and "IDEOGRAPH" not in name else f"U+{ord(character):04X}"
