"""Values on the command line, as `section.name=value`."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pan_core.errors import PanError


def add_override_option(parser: ArgumentParser) -> None:
    """Give a command the option `--set`; what it was given is `settings`, for `read_overrides`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.NAME=VALUE",
        dest="settings",
        help="a value instead of the one in params.yaml, such as train.epochs=30; params.yaml stays as it is",
    )


def read_overrides(settings: Iterable[str]) -> dict[str, Any]:
    """Values nested like params.yaml; where a name is given twice, the last counts.

    Args:
        settings: Such as "train.epochs=30" or "split.splits=[1, 2]": the value is YAML.

    Raises:
        PanError: With the first that cannot be read.
    """
    nested: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        *sections, last = name.strip().split(".")
        if not equals or not last or not all(sections):
            raise PanError(
                f"--set {setting}: expected SECTION.NAME=VALUE, such as train.epochs=30", code="override.form"
            )
        try:
            value = YAML(typ="safe").load(text)
        except YAMLError as error:
            raise PanError(
                f"--set {setting}: the value is not YAML ({' '.join(str(error).split())})", code="override.yaml"
            ) from error
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise PanError(
                    f"--set {setting}: {section} was given a value of its own before; name one of the two",
                    code="override.section",
                )
        inner[last] = value
    return nested
