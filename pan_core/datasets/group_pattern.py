"""Pattern that finds what videos have in common in their paths, such as the person."""

import re

from pan_core.errors import DataError


def compile_pattern(text: str) -> re.Pattern[str]:
    """A group pattern, ready to search paths with.

    Args:
        text: Regular expression with one group.

    Raises:
        DataError: If it is no regular expression, or has no group or several.
    """
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise DataError(
            rf"expected a regular expression such as (person\d+)_, but got {text!r} ({error})", code="folders.pattern"
        ) from error
    if pattern.groups != 1:
        raise DataError(
            f"expected one pair of parentheses around what names the group, but got {pattern.groups} in {text!r}; "
            "write (?:...) for parentheses that only hold together",
            code="folders.pattern",
        )
    return pattern
