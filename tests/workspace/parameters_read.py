"""Which sections of params.yaml a stage's code reads, found in its source: what dvc.yaml must name."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pan_core
from pan_core.params.schema import AllParams

ROOT = Path(pan_core.__file__).parents[1]
THROUGH_WATCH = {"folders"}
"""Sections whose values reach the stages by data/watched.json: DVC stops if an older params.yaml lacks one that dvc.yaml names."""
SECTIONS = {field.alias or name for name, field in AllParams.model_fields.items()} - THROUGH_WATCH
FIELDS = {name: field.alias or name for name, field in AllParams.model_fields.items()}
WHOLE = {"recipe", "model_dump"}
"""Methods of Params that read every value. `fingerprint` and `flat` name and describe rows of MLflow, no output."""
METHODS = {"removes_videos": {"dataset", "pose"}, "search_space": {"tune"}, "varied": {"model", "train"}}
OF_A_DATASET = {"actors", "surveillance", "pyskl"}
"""Sections that `getattr(params, dataset)` may give."""


def sections_read(stage: str) -> set[str]:
    """Sections that the module of a stage reads, by itself and by the functions that it hands its parameters to."""
    tree, found, done = _module(f"pan_core.stages.{stage}"), set(), set()
    todo = [(f"pan_core.stages.{stage}", node) for node in tree.body]
    while todo:
        module, node = todo.pop()
        found |= set(_sections_in(node))
        for call in _calls_with_params(node):
            place = _definition(module, call)
            if place is not None and place not in done:
                done.add(place)
                todo.append((place[0], _functions(place[0])[place[1]]))
    return found


def _sections_in(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and _is_params(each.value):
            if each.attr in WHOLE:
                yield from SECTIONS
            yield from METHODS.get(each.attr, set())
            if each.attr in FIELDS:
                yield FIELDS[each.attr]
        if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "getattr" and _is_params(each.args[0]):
            yield from OF_A_DATASET


def _is_params(node: ast.AST) -> bool:
    return getattr(node, "id", getattr(node, "attr", "")) in ("params", "_params")


def _calls_with_params(node: ast.AST) -> Iterator[ast.Call]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            given = [*each.args, *(keyword.value for keyword in each.keywords)]
            if any(_is_params(value) for value in given):
                yield each


def _definition(module: str, call: ast.Call) -> tuple[str, str] | None:
    """Module and name of the function that is called, if it is one of this package."""
    if not isinstance(call.func, ast.Name):
        return None
    source = _imports(module).get(call.func.id, (module, call.func.id))
    return source if source[1] in _functions(source[0]) else None


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(_module(module))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@cache
def _functions(module: str) -> dict[str, ast.AST]:
    return {node.name: node for node in _module(module).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@cache
def _module(name: str) -> ast.Module:
    path = ROOT.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text()) if file.is_file() else ast.Module([], [])
