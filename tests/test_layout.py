"""Rules of CONTRIBUTING.md that no linter knows."""

import ast
from collections import defaultdict
from itertools import chain
from pathlib import Path

import pytest

from pan_core.edge.bundle import ENTRIES, HOST_ONLY
from pan_core.import_graph import data_files, import_closure
from pan_core.stages import STAGES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pan_core"
MODULES = sorted(chain(PACKAGE.rglob("*.py"), (ROOT / "flows").rglob("*.py")))
LINES = 40
AT_ROOT = 12

SAME_NAME = {
    "drift", "export", "latency", "pose",  # a stage has the name that it has in dvc.yaml
    "benchmark", "data", "edge", "live", "registry",  # a command group has the name of what it is about
    "pan",  # the flow `pan`, and the network
    "gmdcsa24",
}  # fmt: skip
"""Module names that stand twice on purpose."""


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path):
    return str(path.relative_to(ROOT))


def test_few_modules_lie_loose():
    loose = [path.name for path in PACKAGE.glob("*.py")]
    assert len(loose) <= AT_ROOT, loose


def test_every_folder_is_a_package():
    """Another one would be invisible to import-linter."""
    assert [name_of(path) for path in {path.parent for path in MODULES} if not (path / "__init__.py").is_file()] == []


def test_a_device_loads_nothing_of_the_workstation_at_once():
    """What is left out of a bundle is imported inside functions only."""
    loaded = []
    for file in import_closure(ENTRIES, without=HOST_ONLY).values():
        for node in tree(file).body:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            loaded += [
                f"{name_of(file)}: {name}"
                for name in names
                if f"{name}.".startswith(tuple(f"{left}." for left in HOST_ONLY))
            ]
    assert loaded == []


def test_the_stages_folder_holds_the_stages_and_their_runner():
    assert {path.stem for path in (PACKAGE / "stages").glob("*.py")} == {*STAGES, "runner", "__init__"}


def test_a_module_name_is_given_once():
    places = defaultdict(list)
    for path in MODULES:
        if path.stem != "__init__" and path.stem not in SAME_NAME:
            places[path.stem].append(name_of(path))
    assert [found for found in places.values() if len(found) > 1] == []


def test_a_class_name_is_given_once():
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name_of(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def length(function):
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return function.end_lineno - body[0].lineno + 1


def test_functions_are_short():
    long = [
        f"{name_of(path)}: {node.name} has {length(node)} lines"
        for path in (*MODULES, *sorted((ROOT / "benchmarks").glob("*.py")))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > LINES
    ]
    assert long == []


def late_imports(path):
    """Imports inside functions, by line."""
    found = {}
    for function in ast.walk(tree(path)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found[node.lineno] = node
    return list(found.values())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_an_import_inside_a_function_says_why(path):
    source = path.read_text(encoding="utf-8")
    if "Imports are late: start-up" in (ast.get_docstring(ast.parse(source)) or ""):
        return
    lines = source.splitlines()
    silent = [
        node.lineno
        for node in late_imports(path)
        if "# late: " not in "\n".join(lines[node.lineno - 1 : node.end_lineno])
    ]
    assert silent == [], f"{name_of(path)}: lines {silent}: end them with `# late: start-up` or `# late: optional`"


def test_every_data_file_of_the_package_is_named_by_a_module():
    named = set(chain.from_iterable(data_files(path) for path in PACKAGE.rglob("*.py")))
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert [name_of(path) for path in files if not named & {path, *path.parents}] == []


def family(bases, name):
    """Whether a class is an error that people read."""
    return name == "PanError" or any(family(bases, base) for base in bases.get(name, ()))


def test_an_error_is_raised_with_its_code():
    """`ConfigError` names its parameters instead; a class with one meaning has the code itself."""
    bases, coded = {}, {"ConfigError"}
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [getattr(base, "id", getattr(base, "attr", "")) for base in node.bases]
                if any(
                    isinstance(line, ast.Assign)
                    and ast.unparse(line.targets[0]) == "code"
                    and ast.unparse(line.value) != "''"
                    for line in node.body
                ):
                    coded.add(node.name)
    silent = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = getattr(node.exc.func, "id", getattr(node.exc.func, "attr", ""))
                given = {keyword.arg for keyword in node.exc.keywords}
                if family(bases, name) and name not in coded and not given & {"code", None}:
                    silent.append(f"{name_of(path)}:{node.lineno} {name}")
    assert silent == []
