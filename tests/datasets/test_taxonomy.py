"""Taxonomy files: what a class is made of, and every fault said at once."""

import pytest
from refusals import refused

from pan_core.datasets import hmdb51, ucf101
from pan_core.datasets.actors.adapter import Actors
from pan_core.datasets.base import Catalogue, Dataset
from pan_core.datasets.faults import FaultsError
from pan_core.datasets.taxonomy import (
    TAXONOMIES,
    Composition,
    Taxonomy,
    packaged_taxonomy,
    read_taxonomy,
    whole,
)

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
    ("code", "line", "named"),
    [
        ("one-action", "Archery: {sequence: []}", "line 1: Archery: sequence:"),
        ("one-action", "Archery: {together: [Draw]}", "`atomic`"),
        ("kind", "Archery: {sequense: [A, B]}", "'sequence'"),
        ("parts", "Archery: {sequence: A}", "'A'"),
        ("parts", "Archery: {sequence: [A, [B]]}", "['A', ['B']]"),
        ("parts", "Archery: {sequence: [A, '']}", "['A', '']"),
        ("no-boundary", "Archery: {sequence: [A, A]}", "['A', 'A']"),
        ("action-twice", "Archery: {together: [A, B, A]}", "['A', 'B', 'A']"),
        ("form", "Archery: Atomic", "'Atomic'"),
        ("form", "Archery:", "''"),
        ("form", "Archery: {sequence: [A, B], together: [C, D]}", "['C', 'D']"),
        ("form", "Archery: {sequence: [A, B], sequence: [C, D]}", "['C', 'D']"),
        ("kind", "Archery: {? [a, b] : [A, B]}", "'a sequence'"),
        ("spelling", "Archery: {sequence: ['Draw ', Draw]}", "'Draw' and 'Draw '"),
        ("spelling", "Archery: {together: [Draw, Aim]}\nb: {sequence: [draw, C]}", "'Draw' and 'draw'"),
        ("spelling", "Archery: atomic\narchery: atomic", "'Archery' and 'archery'"),
        ("composed-action", "Archery: {sequence: [Archery, B]}", "'Archery'"),
    ],
)
def test_a_fault_has_a_code_and_names_what_was_found(written, code, line, named):
    with refused("taxonomy.faults", FaultsError) as caught:
        read_taxonomy(written(line))
    assert set(caught.value.codes) == {f"taxonomy.{code}"}
    assert named in caught.value.faults[0]


@pytest.mark.parametrize(
    ("code", "text", "where"),
    [
        ("taxonomy.alias", "Archery: &a [*a]", "line 1: Archery"),
        ("taxonomy.alias", "Archery: &a {sequence: *a}", "line 1: Archery"),
        ("taxonomy.alias", "Archery: atomic\nb: &b [X, Y]\nc: {sequence: *b}", "line 3: c"),
        ("taxonomy.no-class-name", "Archery: atomic\n? [a, b]\n: atomic", "line 2:"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_with_its_line(written, code, text, where):
    with refused(code) as caught:
        read_taxonomy(written(text))
    assert where in str(caught.value)


def test_every_fault_is_in_one_message(written):
    path = written("Archerie: atomic\nLongJump: {then: [A, B]}\nLongJump: atomic\n")
    with refused("taxonomy.faults", FaultsError) as caught:
        read_taxonomy(path, classes=CLASSES)
    assert str(path) in str(caught.value)
    assert [(fault.code, fault.split(": ")[:2]) for fault in caught.value.faults] == [
        ("taxonomy.unknown-class", ["line 1", "Archerie"]),
        ("taxonomy.kind", ["line 2", "LongJump"]),
        ("taxonomy.class-twice", ["line 3", "LongJump"]),
        ("taxonomy.missing-class", ["Archery", "missing, expected one line a class; add `Archery"]),
        ("taxonomy.missing-class", ["WalkingWithDog", "missing, expected one line a class; add `WalkingWithDog"]),
    ]
    assert all(fault in str(caught.value) for fault in caught.value.faults)
    assert "'Archery'" in caught.value.faults[0]


def test_classes_that_nobody_could_tell_apart_are_a_fault(written):
    with refused("taxonomy.faults", FaultsError) as caught:
        read_taxonomy(written("a: {together: [X, Y]}\nb: {together: [Y, X]}\n"))
    assert caught.value.codes == ("taxonomy.twin",)
    read_taxonomy(written("a: {sequence: [X, Y]}\nb: {sequence: [Y, X]}\nc: {together: [X, Y]}\n"))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("taxonomy.no-mapping", ""),
        ("taxonomy.no-mapping", "- Archery\n"),
        ("taxonomy.no-mapping", "Archery"),
        ("taxonomy.not-yaml", "a: ["),
        ("taxonomy.not-yaml", "a: {b: \x00}"),
        ("taxonomy.not-yaml", "[" * 9999),
    ],
)
def test_what_is_no_taxonomy_is_said(written, code, text):
    with refused(code):
        read_taxonomy(written(text))


def test_a_missing_file_is_said(tmp_path):
    with refused("taxonomy.no-file"):
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
