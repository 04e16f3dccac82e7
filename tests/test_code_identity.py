"""What counts as the same code: packages of a few lines that follow by thought."""

import pytest
from refusals import refused

import pan_core
from pan_core import code_identity
from pan_core.code_identity import code_hash

SOURCE = '''"""Doc."""

import math

from pan_core.files import read_json


def area(radius: float) -> float:
    """Of a circle."""
    return math.pi * radius**2  # by Archimedes
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one folder, `model`, with one module and one table."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "circle.py").write_text(SOURCE)
    (tmp_path / "model" / "names.yaml").write_text("a: 1\n")
    monkeypatch.setattr(pan_core, "__file__", str(tmp_path / "__init__.py"))
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""Doc."""', '"""Another story."""'),
        ('    """Of a circle."""\n', ""),
        ("  # by Archimedes", ""),
        ("radius**2", "radius ** 2"),
        ("from pan_core.files import read_json", "from pan_core.elsewhere import read_json"),
    ],
)
def test_words_and_places_do_not_count(package, before, after):
    first = code_hash("model")
    assert before in SOURCE
    (package / "model" / "circle.py").write_text(SOURCE.replace(before, after))
    assert code_hash("model") == first


@pytest.mark.parametrize(
    ("before", "after"),
    [("radius**2", "radius**3"), ("import math", "import cmath as math"), ("radius: float", "radius: int")],
)
def test_what_runs_counts(package, before, after):
    first = code_hash("model")
    (package / "model" / "circle.py").write_text(SOURCE.replace(before, after))
    assert code_hash("model") != first


def test_a_renamed_module_is_the_same_code_and_a_table_counts(package):
    first = code_hash("model")
    (package / "model" / "circle.py").rename(package / "model" / "disc.py")
    assert code_hash("model") == first
    (package / "model" / "names.yaml").write_text("a: 2\n")
    assert code_hash("model") != first


def test_one_file_more_counts(package):
    first = code_hash("model")
    (package / "model" / "ring.py").write_text("WIDTH = 1\n")
    assert code_hash("model") != first


def test_code_that_was_hashed_otherwise_keeps_its_identity(package, monkeypatch):
    monkeypatch.setattr(code_identity, "CARRIED_OVER", {code_hash("model"): "0123456789abcdef"})
    assert code_hash("model") == "0123456789abcdef"
    (package / "model" / "circle.py").write_text("RADIUS = 1\n")
    assert code_hash("model") != "0123456789abcdef"


def test_a_name_of_nothing_is_refused(package):
    with refused("code.no-module"):
        code_hash("model", "gone.py")
