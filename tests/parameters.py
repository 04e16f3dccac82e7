"""params.yaml of a test's workspace."""

from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML


def change(path: Path, changes: Mapping[str, object]) -> None:
    """Change values of a params.yaml, given as {"section.name": value}; comments stay."""
    yaml = YAML()
    params = yaml.load(path.read_text())
    for name, value in changes.items():
        *sections, last = name.split(".")
        target = params
        for section in sections:
            target = target[section]
        target[last] = value
    yaml.dump(params, path)
