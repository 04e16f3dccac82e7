"""Import graph of this package: which modules and which of its data files a module needs."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pan_core

PACKAGE = pan_core.__name__
ROOT = Path(pan_core.__file__).parents[1]


def import_closure(entries: Iterable[str], *, without: Sequence[str] = ()) -> dict[str, Path]:
    """Files of some modules and of all modules that they import, wherever in a file the import stands.

    In a module that uses `import_module`, a string that is the full name of a module counts as an import: registries
    name modules so. A string that is the file name of a module beside it counts too: scripts are named so.

    Args:
        entries: Names of modules.
        without: Modules and packages that are left out, and with them what only they import.

    Returns:
        Path below the root -> file, sorted by module.
    """
    todo, found = [*entries], {}
    while todo:
        name = todo.pop()
        file = module_file(name)
        if file is None or name in found or any(f"{name}.".startswith(f"{left}.") for left in without):
            continue
        found[name] = file
        todo += [name.rpartition(".")[0], *imported_modules(name)]
    return {str(file.relative_to(ROOT)): file for _, file in sorted(found.items())}


def module_file(name: str) -> Path | None:
    """File of a module of this package; None if there is no such module."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    path = ROOT.joinpath(*parts)
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if parts[0] == PACKAGE and file.is_file():
            return file
    return None


@cache
def imported_modules(name: str) -> tuple[str, ...]:
    """Names of this package that a module imports; `from a import b` may mean the module a.b."""
    file = module_file(name)
    if file is None:
        return ()
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    scripts = {f"{package}.{text.removesuffix('.py')}" for text in _strings(file) if text.endswith(".py")}
    return tuple(sorted({*_names_in(_tree(file)), *scripts} - {name}))


def data_files(file: Path) -> list[Path]:
    """Files and folders beside a module, or in its package, that it names by a string: templates, pages, tables."""
    names = _strings(file)
    there = {path.name: path for path in file.parent.iterdir() if path.suffix != ".py" and path.name != "__pycache__"}
    return sorted(path for name, path in there.items() if name in names and not (path / "__init__.py").is_file())


@cache
def _strings(file: Path) -> frozenset[str]:
    return frozenset(
        node.value for node in ast.walk(_tree(file)) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _names_in(tree: ast.Module) -> Iterator[str]:
    by_name = any(getattr(node, "id", getattr(node, "attr", "")) == "import_module" for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif by_name and isinstance(node, ast.Constant) and str(node.value).startswith(f"{PACKAGE}."):
            yield str(node.value)


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
