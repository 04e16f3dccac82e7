"""How the classes of a dataset are made of atomic actions (section III of the paper).

A class is atomic, a sequence of actions (LongJump: Running, then Jumping), or several actions at once
(WalkingWithDog: Walking and Dog). A taxonomy is a YAML file with one line a class:

    Archery: atomic
    LongJump: {sequence: [Running, Jumping]}
    WalkingWithDog: {together: [Walking, Dog]}
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pan_core.errors import DataError

TAXONOMIES = Path(__file__).parent / "taxonomies"
KINDS = ("sequence", "together")
FORM = "expected `atomic`, `{sequence: [A, B]}` or `{together: [A, B]}`"


@dataclass(frozen=True)
class Composition:
    """How a class is made of atomic actions.

    Attributes:
        kind: "sequence" for one after the other, "together" for several at once.
        parts: Atomic actions, in order for a sequence.
    """

    kind: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Taxonomy:
    """Composition of classes.

    Attributes:
        compositions: Class -> composition; a class that is not named is atomic.
    """

    compositions: Mapping[str, Composition] = field(default_factory=dict)

    def parts(self, label: str) -> Composition:
        """Composition of a class; an atomic class is a sequence of itself."""
        return self.compositions.get(label, whole(label))

    @property
    def actions(self) -> tuple[str, ...]:
        """Atomic actions of the named classes, sorted."""
        return tuple(sorted({part for composition in self.compositions.values() for part in composition.parts}))


def whole(label: str) -> Composition:
    """A class taken as one action, as without relabelling."""
    return Composition("sequence", (label,))


def packaged_taxonomy(name: str) -> Taxonomy:
    """The taxonomy that comes with the package for a dataset, or one in which every class is atomic."""
    path = TAXONOMIES / f"{name}.yaml"
    return read_taxonomy(path) if path.is_file() else Taxonomy()


def read_taxonomy(path: Path, *, classes: Sequence[str] | None = None) -> Taxonomy:
    """Read and check a taxonomy file.

    Args:
        path: The YAML file.
        classes: All classes of the dataset, each of which the file must name; None where they are not known.

    Raises:
        DataError: With every fault and its line: not the form above, a class twice, unknown or missing, an action
            that bears the name of a class which is itself composed, two classes that are made of the same actions
            in the same way, which nobody could tell apart.
    """
    compositions: dict[str, Composition] = {}
    faults: list[str] = []
    for line, label, value in _entries(path):
        where = f"line {line}: {label}"
        if label in compositions:
            faults.append(f"{where}: named twice, expected one line a class; remove one")
            continue
        if classes is not None and label not in classes:
            near = difflib.get_close_matches(label, classes, n=1)
            faults.append(f"{where}: no such class{f'; did you mean {near[0]!r}?' if near else ''}")
        composition, fault = _composition(label, value)
        compositions[label] = composition
        if fault:
            faults.append(f"{where}: {fault}")
    missing = [label for label in classes or () if label not in compositions]
    faults += [f"{label}: missing, expected one line a class; add `{label}: atomic` or its parts" for label in missing]
    faults += _contradictions(compositions)
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
        raise DataError(f"{path}: {count} in the taxonomy:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return Taxonomy(compositions)


def _entries(path: Path) -> Iterator[tuple[int, str, Any]]:
    """Line number, class and plain value of each entry; entries that YAML's own reader would merge stay apart."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        root = YAML(typ="safe", pure=True).compose(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such taxonomy file") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not YAML ({error}); expected one line a class, such as `Archery: atomic`") from error
    if root is None or root.id != "mapping":
        raise DataError(f"{path}: expected one line a class, such as `Archery: atomic`, but got no mapping")
    for key, value in root.value:
        yield key.start_mark.line + 1, str(key.value), _plain(value)


def _plain(node: Any) -> Any:
    """Value of a YAML node with every scalar as text, so that an action may be called `on` or `2`."""
    if node.id == "mapping":
        return {str(key.value): _plain(value) for key, value in node.value}
    if node.id == "sequence":
        return [_plain(item) for item in node.value]
    return str(node.value)


def _composition(label: str, value: Any) -> tuple[Composition, str]:
    """Composition of an entry and what is wrong with it, empty where nothing is."""
    if value == "atomic":
        return whole(label), ""
    if not isinstance(value, dict) or len(value) != 1:
        return whole(label), f"{FORM}, but got {value!r}"
    kind, parts = next(iter(value.items()))
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        return whole(label), f"unknown kind {kind!r}; {f'did you mean {near[0]!r}? ' if near else ''}{FORM}"
    if not isinstance(parts, list) or not all(isinstance(part, str) and part.strip() for part in parts):
        return whole(label), f"{kind}: expected a list of names of actions, but got {parts!r}"
    return Composition(kind, tuple(parts)), _fault_of_parts(kind, parts)


def _fault_of_parts(kind: str, parts: list[str]) -> str:
    if len(parts) < 2:
        return f"{kind}: expected at least two actions, but got {len(parts)}; write `atomic` for a class of one action"
    if kind == "together" and len(set(parts)) < len(parts):
        return f"together: an action is named twice in {parts}"
    if kind == "sequence" and any(first == second for first, second in pairwise(parts)):
        return f"sequence: an action follows itself in {parts}, and nothing would mark the boundary"
    return ""


def _contradictions(compositions: Mapping[str, Composition]) -> list[str]:
    """Faults that only show between classes."""
    faults = []
    made: dict[tuple[str, tuple[str, ...]], str] = {}
    for label, composition in compositions.items():
        if composition == whole(label):
            continue
        for part in composition.parts:
            if part in compositions and compositions[part] != whole(part):
                faults.append(
                    f"{label}: action {part!r} is also the name of a class that is itself composed; rename it"
                )
        ordered = composition.parts if composition.kind == "sequence" else tuple(sorted(composition.parts))
        if twin := made.get((composition.kind, ordered)):
            faults.append(f"{label}: made of the same actions as {twin}, so that no clip could be told apart")
        made.setdefault((composition.kind, ordered), label)
    return faults
