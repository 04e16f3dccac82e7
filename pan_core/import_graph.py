"""Which modules of this package another one needs: what a device is given, and nothing else."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pan_core

PACKAGE = pan_core.__name__
ROOT = Path(pan_core.__file__).parents[1]


def import_closure(entries: Sequence[str], *, without: Sequence[str] = ()) -> dict[str, Path]:
    """Files of some modules and all that they import of this package, wherever in the file the import stands.

    Args:
        entries: Names of modules.
        without: Modules and packages that are left out, with what only they import: those that are loaded late, for
            other uses.

    Returns:
        Path below the root -> file, sorted.
    """
    todo, found = [*entries], {}
    while todo:
        name = todo.pop()
        file = _file(name)
        if file is None or name in found or any(f"{name}.".startswith(f"{left}.") for left in without):
            continue
        found[name] = file
        todo += [name.rpartition(".")[0], *_imported(file)]
    return {str(file.relative_to(ROOT)): file for _, file in sorted(found.items())}


def _file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if name and file.is_file():
            return file
    return None


def _imported(file: Path) -> Iterator[str]:
    """Names of the package's modules in import statements; `from a import b` may mean the module a.b."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            yield from (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))
