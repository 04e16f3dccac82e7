"""The import graph on a package of a few files."""

import pytest

from pan_core import import_graph
from pan_core.import_graph import import_closure


@pytest.fixture
def package(tmp_path, monkeypatch):
    files = {
        "__init__.py": "", "main.py": "from pan_core.a import b\nimport os\n", "a/__init__.py": "",
        "a/b.py": "def f():\n    from pan_core import late\n", "late.py": 'PAGE = "page.html"\n', "page.html": "",
        "registry.py": 'from importlib import import_module\nNAMES = ["pan_core.named"]\nimport_module(NAMES[0])\n',
        "named.py": "", "unrelated.py": 'TEXT = "pan_core.named"\n',
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / "pan_core" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(import_graph, "ROOT", tmp_path)
    import_graph.imported_modules.cache_clear()
    yield tmp_path
    import_graph.imported_modules.cache_clear()


def closure(*entries, **given):
    return [name.removeprefix("pan_core/") for name in import_closure(entries, **given)]


def test_imports_inside_functions_and_the_packages_around_count(package):
    assert closure("pan_core.main") == ["__init__.py", "a/__init__.py", "a/b.py", "late.py", "main.py"]


def test_what_is_left_out_takes_along_what_only_it_imports(package):
    assert closure("pan_core.main", without=["pan_core.a"]) == ["__init__.py", "main.py"]


def test_a_module_that_is_named_counts_if_the_module_imports_by_name(package):
    assert "named.py" in closure("pan_core.registry")
    assert "named.py" not in closure("pan_core.unrelated")


def test_files_that_a_module_names_are_its_data(package):
    assert import_graph.data_files(package / "pan_core" / "late.py") == [package / "pan_core" / "page.html"]
    assert import_graph.data_files(package / "pan_core" / "main.py") == []
