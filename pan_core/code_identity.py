"""Identity of code: figures that were kept say by which code they were made.

Only what runs counts: docstrings, comments, layout, names of files and of imported modules of this package do not. A module
that is moved, or explained better, is the same code.
"""

import ast
import hashlib
import json
from functools import lru_cache
from pathlib import Path

from ruamel.yaml import YAML

import pan_core
from pan_core.errors import PanError

CARRIED_OVER: dict[str, str] = {
    "e4fdb79c934528eb": "4d96fce2fa308353",  # benchmark runs of the recognizer
    "c07779f46c724d97": "7f2e51d981926eee",  # benchmark runs of gru
    "deaaf187dbec7b2e": "be5640154913a652",  # benchmark runs of stgcn
    "4bd1905d8f85b028": "c6a79b85d5428369",  # Optuna studies
}
"""Hash of code -> the hash that the same code had in figures kept before 2026-12, when bytes and file names counted."""


def code_hash(*names: str) -> str:
    """Hash of modules and data files of this package.

    Args:
        names: Files and folders below the package; of a folder all modules and YAML files below it count.

    Raises:
        PanError: If a name is neither a file nor a folder.
    """
    found = raw_code_hash(*names)
    return CARRIED_OVER.get(found, found)


def raw_code_hash(*names: str) -> str:
    """`code_hash` without regard to `CARRIED_OVER`."""
    package, files = Path(pan_core.__file__).parent, []
    for name in names:
        place = package / name
        if not place.exists():
            raise PanError(f"{place}: no such module; a hash of code names one that was moved", code="code.no-module")
        files += [place] if place.is_file() else [p for p in place.rglob("*.*") if p.suffix in (".py", ".yaml")]
    contents = sorted(_content(path) for path in files)
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]


def _content(path: Path) -> str:
    return _strip(path.read_text(encoding="utf-8"), is_code=path.suffix == ".py")


@lru_cache(maxsize=1024)
def _strip(text: str, *, is_code: bool) -> str:
    """What counts of a file, by its text: a benchmark asks at each run, and parsing takes a third of a second."""
    if not is_code:
        return json.dumps(YAML(typ="safe").load(text), sort_keys=True, default=str)
    stripped = _Stripped()
    tree = stripped.visit(ast.parse(text))
    # Sorted, as the order of imports follows the names of the modules.
    return ast.dump(tree) + repr(sorted(stripped.imported))


class _Stripped(ast.NodeTransformer):
    """Removes what does not run, and where names of this package come from; collects these names."""

    def __init__(self) -> None:
        self.imported: list[tuple[str, str]] = []

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        node.names = [alias for alias in node.names if alias.name.split(".")[0] != pan_core.__name__]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        if (node.module or "").split(".")[0] != pan_core.__name__:
            return node
        self.imported += [(alias.name, alias.asname or "") for alias in node.names]
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        # A string that stands alone is a docstring, of a module, a class, a function or a value.
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node
