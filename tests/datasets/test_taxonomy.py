"""Taxonomy files: what a class is made of, and every fault said at once."""

import pytest

from pan_core.datasets import hmdb51, ucf101
from pan_core.datasets.actors.adapter import Actors
from pan_core.datasets.base import Catalogue, Dataset
from pan_core.datasets.taxonomy import (
    TAXONOMIES,
    Composition,
    Taxonomy,
    packaged_taxonomy,
    read_taxonomy,
    whole,
)
from pan_core.errors import DataError

CLASSES = ("Archery", "LongJump", "WalkingWithDog")


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "taxonomy.yaml"
        path.write_text(text)
        return path

    return write


def test_the_three_forms(written):
    taxonomy = read_taxonomy(
        written(
            "# why\nArchery: atomic\nLongJump: {sequence: [Running, Jumping]}  # arguable\n"
            "WalkingWithDog: {together: [Walking, Dog]}\n"
        ),
        classes=CLASSES,
    )
    assert taxonomy.parts("Archery") == Composition("sequence", ("Archery",))
    assert taxonomy.parts("LongJump") == Composition("sequence", ("Running", "Jumping"))
    assert taxonomy.parts("WalkingWithDog") == Composition("together", ("Walking", "Dog"))
    assert taxonomy.actions == ("Archery", "Dog", "Jumping", "Running", "Walking")


def test_words_that_yaml_reads_as_values_stay_words(written):
    taxonomy = read_taxonomy(written("yes: {sequence: [on, 2]}\n1e3: atomic\n"))
    assert taxonomy.parts("yes") == Composition("sequence", ("on", "2"))
    assert "1e3" in taxonomy.actions


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Archery: {sequence: []}", "line 1: Archery: sequence: expected at least two actions, but got 0"),
        ("Archery: {together: [Draw]}", "together: expected at least two actions, but got 1; write `atomic`"),
        ("Archery: {sequense: [A, B]}", "unknown kind 'sequense'; did you mean 'sequence'?"),
        ("Archery: {sequence: A}", "expected a list of names of actions, but got 'A'"),
        ("Archery: {sequence: [A, [B]]}", "expected a list of names"),
        ("Archery: {sequence: [A, '']}", "expected a list of names"),
        ("Archery: {sequence: [A, A]}", "an action follows itself"),
        ("Archery: {together: [A, B, A]}", "named twice"),
        ("Archery: Atomic", "expected `atomic`, .* but got 'Atomic'"),
        ("Archery:", "expected `atomic`, .* but got ''"),
        ("Archery: {sequence: [A, B], together: [C, D]}", "expected `atomic`"),
        ("Archery: {sequence: [Archery, B]}", "'Archery' is also the name of a class that is itself composed"),
    ],
)
def test_a_fault_names_its_line_and_what_was_expected(written, line, expected):
    with pytest.raises(DataError, match=expected):
        read_taxonomy(written(line))


def test_every_fault_is_in_one_message(written):
    path = written("Archerie: atomic\nLongJump: {then: [A, B]}\nLongJump: atomic\n")
    with pytest.raises(DataError) as caught:
        read_taxonomy(path, classes=CLASSES)
    message = str(caught.value)
    assert str(path) in message
    assert "5 faults" in message
    assert "line 1: Archerie: no such class; did you mean 'Archery'?" in message
    assert "line 2: LongJump: unknown kind 'then'" in message
    assert "line 3: LongJump: named twice" in message
    assert "  - Archery: missing" in message
    assert "  - WalkingWithDog: missing" in message


def test_classes_that_nobody_could_tell_apart_are_a_fault(written):
    with pytest.raises(DataError, match="b: made of the same actions as a"):
        read_taxonomy(written("a: {together: [X, Y]}\nb: {together: [Y, X]}\n"))
    read_taxonomy(written("a: {sequence: [X, Y]}\nb: {sequence: [Y, X]}\nc: {together: [X, Y]}\n"))


@pytest.mark.parametrize("text", ["", "- Archery\n", "Archery", "a: [", "a: {b: \x00}"])
def test_what_is_no_taxonomy_is_said(written, text):
    with pytest.raises(DataError, match="such as `Archery: atomic`"):
        read_taxonomy(written(text))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DataError, match="no such taxonomy file"):
        read_taxonomy(tmp_path / "none.yaml")


@pytest.mark.parametrize(("name", "classes"), [("ucf101", ucf101.CLASSES), ("hmdb51", hmdb51.CLASSES)])
def test_the_packaged_taxonomies_are_complete(name, classes):
    taxonomy = read_taxonomy(TAXONOMIES / f"{name}.yaml", classes=classes)
    assert set(taxonomy.compositions) == set(classes)
    assert packaged_taxonomy(name) == taxonomy


def test_the_examples_of_the_paper():
    taxonomy = packaged_taxonomy("ucf101")
    assert taxonomy.parts("LongJump") == Composition("sequence", ("Running", "Jumping"))
    assert taxonomy.parts("WalkingWithDog") == Composition("together", ("Walking", "Dog"))


def test_classes_share_actions():
    taxonomy = packaged_taxonomy("ucf101")
    running = {label for label in ucf101.CLASSES if "Running" in taxonomy.parts(label).parts}
    assert {"LongJump", "HighJump", "PoleVault", "JavelinThrow", "CricketBowling"} <= running


def test_without_a_file_every_class_is_atomic():
    assert packaged_taxonomy("my_cameras") == Taxonomy()
    assert packaged_taxonomy("my_cameras").parts("Falling") == whole("Falling")


def test_datasets_with_the_same_classes_share_a_file():
    class Poses(Dataset):
        name = "ucf101_somewhere_else"
        taxonomy_name = "ucf101"

        def fetch(self, folder, context):
            raise NotImplementedError

        def catalogue(self, folder, context) -> Catalogue:
            raise NotImplementedError

    assert Poses().parts("LongJump").parts == ("Running", "Jumping")


def test_the_embedded_dataset_names_all_its_actions():
    actions = Actors().taxonomy.actions
    assert len(actions) == 12
    assert "Walking" in actions
    assert "LongJump" not in actions
