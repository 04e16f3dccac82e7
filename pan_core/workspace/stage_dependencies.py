"""Dependencies of the stages on code and defaults, computed from imports and written into dvc.yaml.

`python -m pan_core.workspace.stage_dependencies` rewrites dvc.yaml; with `--check` it only says whether that is needed.
Names of data files, and the names in `params`, are written by hand. Everything below `pan_core/` is generated:

- `deps`: every module that the stage's module imports, wherever the import stands, and the data files that these
  modules name. A folder stands for its modules if all of them are needed.
- `params`: the classes of the schema that hold the defaults of the parameters that the stage names, so that a stage is
  out of date when a default changes that params.yaml does not name. These modules are compared by value, not as code.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import TextWrapper
from typing import Any

from ruamel.yaml import YAML

from pan_core.errors import PanError
from pan_core.import_graph import PACKAGE, ROOT, data_files, import_closure, module_file
from pan_core.params.schema import AllParams

PIPELINE = Path("dvc.yaml")
SCHEMA, QUALITIES = "pan_core/params/schema.py", "pan_core/pose/qualities.py"
BY_VALUE = ("pan_core.params.schema", "pan_core.pose.qualities")
"""Modules of values: a stage depends on those of their values that it reads."""

WIDTH = 120
_LISTS = re.compile(r"^    (?:deps|params): \[(?:[^\[\]]|\[[^\]]*\])*\]\n", re.MULTILINE)


def code_dependencies(stage: str) -> list[str]:
    """Modules and package data that a stage needs, below the project's root; folders that are needed whole as such.

    Raises:
        PanError: If there is no such stage.
    """
    module = f"{PACKAGE}.stages.{stage}"
    if module_file(module) is None:
        raise PanError(
            f"{PIPELINE}: stage {stage} has no module {module}; a stage has the name of its module",
            code="stage.unknown",
        )
    needed = set()
    for file in import_closure([module], without=BY_VALUE).values():
        needed |= {file, *data_files(file)}
    return [str(path.relative_to(ROOT)) for path in sorted(_collapse(ROOT / PACKAGE, needed))]


def _collapse(folder: Path, needed: set[Path]) -> Iterator[Path]:
    """The needed paths below a folder, with each folder that is needed whole in place of what is in it."""
    if folder in needed or _is_whole(folder, needed):
        yield folder
        return
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            yield from _collapse(path, needed)
        elif path in needed:
            yield path


def _is_whole(folder: Path, needed: set[Path]) -> bool:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return bool(files) and all(needed & {path, *path.parents} for path in files)


def default_parameters(names: Iterable[str]) -> dict[str, list[str]]:
    """Where the defaults of some parameters stand, as DVC names them: file -> classes, or classes and fields.

    Args:
        names: Parameters as in params.yaml, such as "train" or "latency.budget_step_ms".
    """
    found: dict[str, list[str]] = {}
    literals = _literal_fields(ROOT / SCHEMA)
    for name in names:
        section, _, rest = name.partition(".")
        kind = _section(section)
        if kind is None:
            places = [f"{AllParams.__name__}.{section}"] if section in literals[AllParams.__name__] else []
        elif rest:
            places = [f"{kind.__name__}.{rest}"]
        else:
            places = [place for each in (kind, *_inner_sections(kind)) for place in _places(each.__name__, literals)]
            if kind.__name__ == "TuneParams":
                places.append("SPACE")
        found.setdefault(SCHEMA, []).extend(places)
        if section == "pose" and not rest:
            found[QUALITIES] = ["QUALITIES"]
    return {file: sorted(set(places)) for file, places in found.items() if places}


def _section(name: str) -> Any:
    """Class of a section, None if a parameter is a plain value."""
    for key, field in AllParams.model_fields.items():
        if name in (key, field.alias):
            return field.annotation if hasattr(field.annotation, "model_fields") else None
    raise PanError(f"{PIPELINE}: params: no parameter is called {name!r}", code="parameter.unknown")


def _inner_sections(kind: type) -> list[type]:
    return [field.annotation for field in kind.model_fields.values() if hasattr(field.annotation, "model_fields")]  # type: ignore[attr-defined]


def _places(kind: str, literals: dict[str, dict[str, object]]) -> list[str]:
    # DVC compares a tuple inside a class with the list that it stored, so such a class is named field by field.
    fields = literals[kind]
    return [f"{kind}.{name}" for name in fields] if any(isinstance(v, tuple) for v in fields.values()) else [kind]


def _literal_fields(file: Path) -> dict[str, dict[str, object]]:
    """Class -> field -> default, of the fields whose default is a literal: those that DVC can read."""
    found: dict[str, dict[str, object]] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            fields = found.setdefault(node.name, {})
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
                    try:
                        fields[line.target.id] = ast.literal_eval(line.value)
                    except ValueError:
                        continue
    return found


def update(text: str) -> str:
    """dvc.yaml with generated dependencies; everything else stays as it is."""
    stages = YAML(typ="safe").load(text)["stages"]
    for stage, entry in stages.items():
        if not Path(PACKAGE, "stages", f"{stage}.py").is_file():  # such as `watch`, which is no work on the dataset
            continue
        start = text.index(f"\n  {stage}:\n")
        stop = re.compile(r"^  \w+:\n", re.MULTILINE).search(text, start + len(stage) + 4)
        end = stop.start() if stop else len(text)
        text = text[:start] + _rewrite(text[start:end], stage, entry) + text[end:]
    return text


def _rewrite(block: str, stage: str, entry: dict) -> str:
    data = [path for path in entry.get("deps", []) if not path.startswith(f"{PACKAGE}/")]
    names = [name for name in entry.get("params", []) if isinstance(name, str)]
    lists = _list("deps", data, code_dependencies(stage))
    if names:
        defaults = [f"{{{file}: [{', '.join(places)}]}}" for file, places in default_parameters(names).items()]
        lists += _list("params", names, defaults)
    rest = _LISTS.sub("", block)
    place = rest.find("    outs: [")
    if place < 0:
        raise PanError(
            f"{PIPELINE}: stage {stage}: expected a line `outs: [...]` after deps and params", code="pipeline.form"
        )
    return rest[:place] + lists + rest[place:]


def _list(key: str, written: Sequence[str], generated: Sequence[str]) -> str:
    """A list with what is written by hand on lines of its own, before what is generated."""
    quoted = [f'"{item}"' if "${" in item else item for item in written]
    parts = [_wrap(quoted, generated)] if quoted else []
    if generated:
        parts.append(_wrap(generated, ()))
    indent = " " * (len(key) + 7)
    comment = f"\n{indent}# by `make deps`:\n{indent}"
    return f"    {key}: [{comment.join(parts)}]\n".replace("[" + comment, "[")


def _wrap(items: Sequence[str], followed_by: Sequence[str]) -> str:
    wrapper = TextWrapper(WIDTH - 12, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(", ".join(items) + ("," if followed_by else ""))


def main() -> int:
    """Write dvc.yaml, or check it."""
    parser = argparse.ArgumentParser(description="Write the stages' dependencies on code into dvc.yaml.")
    parser.add_argument("--check", action="store_true", help="only fail if dvc.yaml is out of date")
    arguments = parser.parse_args()
    text = PIPELINE.read_text(encoding="utf-8")
    new = update(text)
    if new == text:
        return 0
    if arguments.check:
        print(f"{PIPELINE}: dependencies are out of date; run `make deps`", file=sys.stderr)
        return 1
    PIPELINE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
