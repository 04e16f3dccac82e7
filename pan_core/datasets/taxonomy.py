"""How the classes of a dataset are made of atomic actions (section III of the paper).

A class is atomic, a sequence of actions (LongJump: Running, then Jumping), or several actions at once
(WalkingWithDog: Walking and Dog). A taxonomy is a YAML file with one line a class:

    Archery: atomic
    LongJump: {sequence: [Running, Jumping]}
    WalkingWithDog: {together: [Walking, Dog]}
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pan_core.datasets.faults import Fault, FaultsError
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
    faults: list[Fault] = []
    for line, label, value in _read_entries(path):
        where = f"line {line}: {label}"
        if label in compositions:
            text = f"{where}: named twice, expected one line a class; remove one"
            faults.append(Fault(text, "taxonomy.class-twice"))
            continue
        if classes is not None and label not in classes:
            near = difflib.get_close_matches(label, classes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(Fault(f"{where}: no such class{hint}", "taxonomy.unknown-class"))
        composition, fault = _read_composition(label, value)
        compositions[label] = composition
        if fault:
            faults.append(Fault(f"{where}: {fault}", fault.code))
    missing = [label for label in classes or () if label not in compositions]
    faults += [
        Fault(
            f"{label}: missing, expected one line a class; add `{label}: atomic` or its parts", "taxonomy.missing-class"
        )
        for label in missing
    ]
    faults += _find_contradictions(compositions)
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise FaultsError(f"{path}: {count} in the taxonomy:\n{lines}", faults, code="taxonomy.faults")
    return Taxonomy(compositions)


def _read_entries(path: Path) -> Iterator[tuple[int, str, Any]]:
    """Line number, class and plain value of each entry; entries that YAML's own reader would merge stay apart."""
    from ruamel.yaml import YAML  # late: start-up
    from ruamel.yaml.error import YAMLError  # late: start-up

    try:
        root = YAML(typ="safe", pure=True).compose(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such taxonomy file", code="taxonomy.no-file") from None
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{path}: not YAML ({error}); expected one line a class, such as `Archery: atomic`",
            code="taxonomy.not-yaml",
        ) from error
    if root is None or root.id != "mapping":
        raise DataError(
            f"{path}: expected one line a class, such as `Archery: atomic`, but got no mapping",
            code="taxonomy.no-mapping",
        )
    seen: set[int] = set()
    for key, value in root.value:
        if key.id != "scalar":
            raise DataError(
                f"{path}, line {key.start_mark.line + 1}: expected the name of a class, but got a {key.id}",
                code="taxonomy.no-class-name",
            )
        if _repeats(value, seen):
            raise DataError(
                f"{path}, line {key.start_mark.line + 1}: {key.value} refers to another entry; write it out",
                code="taxonomy.alias",
            )
        yield key.start_mark.line + 1, str(key.value), _read_node(value)


def _repeats(node: Any, seen: set[int]) -> bool:
    """Whether a list or mapping of a node was met before: by way of aliases a few lines may stand for billions."""
    if node.id == "scalar":
        return False
    if id(node) in seen:
        return True
    seen.add(id(node))
    inner = node.value if node.id == "sequence" else [part for pair in node.value for part in pair]
    return any(_repeats(part, seen) for part in inner)


def _read_node(node: Any) -> Any:
    """Value of a YAML node with every scalar as text, so that an action may be called `on` or `2`.

    A mapping that has a key twice is a list of mappings, and a key that is no scalar is shown by its kind.
    """
    if node.id == "mapping":
        pairs = [
            (str(key.value) if key.id == "scalar" else f"a {key.id}", _read_node(value)) for key, value in node.value
        ]
        whole = dict(pairs)
        return whole if len(whole) == len(pairs) else [{key: value} for key, value in pairs]
    if node.id == "sequence":
        return [_read_node(item) for item in node.value]
    return str(node.value)


def _read_composition(label: str, value: Any) -> tuple[Composition, Fault | None]:
    """Composition of an entry, and what is wrong with it."""
    if value == "atomic":
        return whole(label), None
    if not isinstance(value, dict) or len(value) != 1:
        return whole(label), Fault(f"{FORM}, but got {value!r}", "taxonomy.form")
    kind, parts = next(iter(value.items()))
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return whole(label), Fault(f"unknown kind {kind!r}; {hint}{FORM}", "taxonomy.kind")
    if not isinstance(parts, list) or not all(isinstance(part, str) and part.strip() for part in parts):
        text = f"{kind}: expected a list of names of actions, but got {parts!r}"
        return whole(label), Fault(text, "taxonomy.parts")
    return Composition(kind, tuple(parts)), _check_parts(kind, parts)


def _check_parts(kind: str, parts: list[str]) -> Fault | None:
    if len(parts) < 2:
        text = f"{kind}: expected at least two actions, but got {len(parts)}; write `atomic` for a class of one action"
        return Fault(text, "taxonomy.one-action")
    if kind == "together" and len(set(parts)) < len(parts):
        return Fault(f"together: an action is named twice in {parts}", "taxonomy.action-twice")
    if kind == "sequence" and any(first == second for first, second in pairwise(parts)):
        text = f"sequence: an action follows itself in {parts}, and nothing would mark the boundary"
        return Fault(text, "taxonomy.no-boundary")
    return None


def _compare_spellings(names: Iterable[str]) -> list[Fault]:
    """Names that differ in spaces or case only, which would be learnt as different actions."""
    spelt: dict[str, set[str]] = {}
    for name in names:
        spelt.setdefault(" ".join(name.casefold().split()), set()).add(name)
    return [
        Fault(
            f"{' and '.join(map(repr, sorted(group)))} differ in spaces or case only; write them alike",
            "taxonomy.spelling",
        )
        for group in spelt.values()
        if len(group) > 1
    ]


def _find_contradictions(compositions: Mapping[str, Composition]) -> list[Fault]:
    """Faults that only show between classes."""
    faults = _compare_spellings(compositions) + _compare_spellings(
        part for made in compositions.values() for part in made.parts
    )
    made: dict[tuple[str, tuple[str, ...]], str] = {}
    for label, composition in compositions.items():
        if composition == whole(label):
            continue
        for part in composition.parts:
            if part in compositions and compositions[part] != whole(part):
                text = f"{label}: action {part!r} is also the name of a class that is itself composed; rename it"
                faults.append(Fault(text, "taxonomy.composed-action"))
        ordered = composition.parts if composition.kind == "sequence" else tuple(sorted(composition.parts))
        if twin := made.get((composition.kind, ordered)):
            text = f"{label}: made of the same actions as {twin}, so that no clip could be told apart"
            faults.append(Fault(text, "taxonomy.twin"))
        made.setdefault((composition.kind, ordered), label)
    return faults
