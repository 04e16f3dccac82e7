"""UCF101: names, split lists, and the way from archives to a clip table."""

import shutil
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from refusals import refused

from pan_core.datasets import video_folders
from pan_core.datasets.base import Context, RemoteFile
from pan_core.datasets.faults import FaultsError
from pan_core.datasets.ucf101 import CLASSES, FACTS, Ucf101
from pan_core.datasets.ucf_layout import catalogue_of, name_reader, read_classes, read_splits
from pan_core.errors import DataError
from pan_core.tables import check_table

NAMES = [
    f"{label}/v_{written}_g{group:02d}_c01.avi"
    for label, written in (("Archery", "Archery"), ("HandstandPushups", "HandStandPushups"))
    for group in (1, 2, 3)
]


@pytest.fixture
def lists(tmp_path):
    """Split lists in the official form, with its carriage returns: group 1 is tested, groups 2 and 3 are learned."""
    folder = tmp_path / "mirror" / "ucf101" / "ucfTrainTestlist"
    folder.mkdir(parents=True)
    (folder / "classInd.txt").write_bytes(b"1 Archery\r\n2 HandstandPushups\r\n")
    train = [f"{name} {1 + name.startswith('H')}" for name in NAMES if "_g01" not in name]
    (folder / "trainlist01.txt").write_text("".join(f"{line}\r\n" for line in train), newline="")
    (folder / "testlist01.txt").write_text("".join(f"{name}\r\n" for name in NAMES if "_g01" in name), newline="")
    return folder


@pytest.fixture
def dataset_folder(lists, clip, tmp_path):
    """A fetched dataset: six videos of two classes."""
    folder = tmp_path / "raw"
    shutil.copytree(lists, folder / "splits")
    for name in NAMES:
        path = folder / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
    return folder


def test_the_clip_table(dataset_folder, offline):
    catalogue = Ucf101().catalogue(dataset_folder, offline)
    clips = check_table(catalogue.clips, "clips", "test").set_index("clip_id")
    assert len(clips) == 6
    row = clips.loc["v_HandStandPushups_g02_c01"]
    assert row["label"] == "HandstandPushups"
    assert row["group"] == "HandstandPushups_g02"
    assert row["path"] == "videos/HandstandPushups/v_HandStandPushups_g02_c01.avi"
    assert (row["fps"], row["n_frames"], row["width"], row["height"]) == (25.0, 6, 64, 48)
    assert dict(clips["split1"].value_counts()) == {"train": 4, "test": 2}
    assert set(clips.loc[clips["split1"] == "test", "group"]) == {"Archery_g01", "HandstandPushups_g01"}
    assert catalogue.quarantine.empty
    assert catalogue.missing == ()


def test_one_numbering_makes_the_number_a_person(dataset_folder, offline):
    clips = catalogue_of(dataset_folder, source="actors", one_numbering=True, context=offline).clips
    assert set(clips["group"]) == set(clips["subject"]) == {"g01", "g02", "g03"}


def test_what_is_not_as_listed_is_named(dataset_folder, clip, offline):
    videos = dataset_folder / "videos"
    (videos / NAMES[0]).unlink()
    (videos / NAMES[1]).write_bytes(b"")
    for name in ("Archery/v_Archery_g09_c01.avi", "Archery/clip.avi", "Archery/v_Archerie_g01_c01.avi",
                 "Archery/v_HandstandPushups_g01_c02.avi", "spare/v_Archery_g03_c01.avi", "Archery/._v_Archery_g03_c01.avi"):  # fmt: skip
        (videos / name).parent.mkdir(exist_ok=True)
        shutil.copy(clip, videos / name)
    catalogue = Ucf101().catalogue(dataset_folder, offline)
    clips = catalogue.clips.set_index("clip_id")
    assert catalogue.missing == ("v_Archery_g01_c01",)
    assert clips.loc["v_Archery_g09_c01", "split1"] == "unused"
    reasons = catalogue.quarantine.set_index("clip_id")["reason"]
    assert "empty" in reasons["v_Archery_g02_c01"]
    assert "'Archery'" in reasons["v_Archerie_g01_c01"]
    assert "spare/v_Archery_g03_c01.avi" in reasons["v_Archery_g03_c01"]
    assert set(reasons.index) == {
        "v_Archery_g02_c01", "clip", "v_Archerie_g01_c01", "v_HandstandPushups_g01_c02", "v_Archery_g03_c01",
    }  # fmt: skip
    assert len(clips) == 5


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("clip.name", "Archery/clip.avi"),
        ("clip.unknown-class", "Archery/v_Archerie_g01_c01.avi"),
        ("clip.other-folder", "Archery/v_HandstandPushups_g01_c02.avi"),
    ],
)
def test_names_against_the_rule_are_refused(code, path):
    with refused(code) as caught:
        name_reader(("Archery", "HandstandPushups"), {})(Path(path))
    assert path in str(caught.value)


def test_without_a_usable_video_the_reasons_are_said(dataset_folder, offline):
    for name in NAMES:
        (dataset_folder / "videos" / name).write_text("text")
    with refused("dataset.no-video") as caught:
        Ucf101().catalogue(dataset_folder, offline)
    assert str(caught.value).count("\n") == video_folders.SHOWN


@pytest.mark.parametrize(
    ("name", "line", "code"),
    [
        ("testlist01.txt", NAMES[1], "splits.both-parts"),
        ("trainlist01.txt", "Archery/v_Archery_g05_c01.avi 2", "splits.unknown-class"),
        ("trainlist01.txt", "Archerie/v_Archerie_g05_c01.avi 1", "splits.unknown-class"),
        ("testlist01.txt", "Archery", "splits.line"),
        ("testlist01.txt", "Archery/v_archery_g02_c01.avi", "splits.both-parts"),
        ("testlist01.txt", "Archery/v_HandStandPushups_g09_c01.avi", "splits.other-class"),
        ("trainlist01.txt", f"{NAMES[1]} 1", "splits.named-twice"),
        ("trainlist1.txt", f"{NAMES[1]} 1", "splits.second-list"),
        ("testlist02.txt", NAMES[1], "splits.missing-list"),
        ("trainlistX.txt", NAMES[1], "splits.list-name"),
    ],
)  # fmt: skip
def test_lists_that_contradict_themselves_are_refused(lists, name, line, code):
    with (lists / name).open("a") as file:
        file.write(line + "\n")
    with refused("splits.faults", FaultsError) as caught:
        read_splits(lists, ("Archery", "HandstandPushups"))
    assert caught.value.codes == (code,)
    assert ("v_Archery_g02_c01" if code == "splits.both-parts" else name) in str(caught.value)


def test_an_empty_list_is_said(lists):
    (lists / "testlist01.txt").write_text("\n")
    with refused("splits.faults", FaultsError) as caught:
        read_splits(lists, ("Archery", "HandstandPushups"))
    assert caught.value.codes == ("splits.empty-list",)
    assert "testlist01.txt" in str(caught.value)


def test_a_missing_list_is_named(lists):
    (lists / "testlist01.txt").unlink()
    with refused("splits.missing-list") as caught:
        read_splits(lists, ("Archery", "HandstandPushups"))
    assert "testlist01.txt" in str(caught.value)
    (lists / "trainlist01.txt").unlink()
    with refused("splits.no-lists"):
        read_splits(lists, ("Archery",))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("splits.class-numbers", ""),
        ("splits.class-numbers", "1 A\n1 B\n"),
        ("splits.class-numbers", "1 A\n3 B\n"),
        ("splits.class-numbers", "1 A\n2 A\n"),
        ("splits.class-line", "A\n"),
    ],
)
def test_a_class_list_counts_from_one(tmp_path, code, text):
    path = tmp_path / "classInd.txt"
    path.write_text(text)
    with refused(code):
        read_classes(path)


def test_fetch_links_a_mirror_of_folders(lists, clip, offline, tmp_path):
    for name in NAMES:
        path = lists.parent / "UCF-101" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
    Ucf101().fetch(tmp_path / "raw", offline)
    assert {
        path.relative_to(tmp_path / "raw" / "videos").as_posix() for path in (tmp_path / "raw").rglob("*.avi")
    } == set(NAMES)
    assert (lists.parent / "UCF-101" / NAMES[0]).is_file()
    catalogue = Ucf101().catalogue(tmp_path / "raw", offline)
    assert len(catalogue.clips) == 6
    assert catalogue.missing == ()


class TwoClasses(Ucf101):
    """UCF101 with archives whose checksums nobody knows."""

    files = (
        RemoteFile("lists.zip"),
        RemoteFile("videos.rar", instead=("videos of the rar",)),
        RemoteFile("videos.zip"),
    )


def test_fetch_unpacks_the_flat_zip_archive(lists, clip, offline, tmp_path):
    mirror = lists.parent
    with zipfile.ZipFile(mirror / "lists.zip", "w") as archive:
        for path in lists.iterdir():
            archive.write(path, f"ucfTrainTestlist/{path.name}")
    with zipfile.ZipFile(mirror / "videos.zip", "w") as archive:
        for name in NAMES:
            archive.write(clip, "UCF101/" + Path(name).name.replace("HandStand", "Handstand"))
    dataset = TwoClasses()
    dataset.fetch(tmp_path / "raw", offline)
    assert (tmp_path / "raw/videos/HandstandPushups/v_HandstandPushups_g01_c01.avi").is_file()
    catalogue = dataset.catalogue(tmp_path / "raw", offline)
    assert catalogue.missing == ()
    assert "v_HandStandPushups_g01_c01" in set(catalogue.clips["clip_id"])
    assert dict(catalogue.clips["split1"].value_counts()) == {"train": 4, "test": 2}


@pytest.fixture
def publisher(tmp_path):
    """A folder and the address at which a server offers its files."""
    folder = tmp_path / "published"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_where_rar_cannot_be_read_the_zip_is_downloaded(lists, clip, publisher, offline, tmp_path, monkeypatch, caplog):
    def no_rar():
        raise DataError("no libarchive")

    monkeypatch.setattr(video_folders, "require_rar", no_rar)
    published, address = publisher
    with zipfile.ZipFile(published / "videos.zip", "w") as archive:
        archive.write(clip, "UCF101/v_Archery_g01_c01.avi")
    (published / "videos.rar").write_bytes(b"Rar! that nobody asks for")

    class Offered(Ucf101):
        files = (
            RemoteFile("ucfTrainTestlist"),
            RemoteFile("videos.rar", urls=(f"{address}/videos.rar",)),
            RemoteFile("videos.zip", urls=(f"{address}/videos.zip",)),
        )

    Offered().fetch(tmp_path / "raw", replace(offline, download=True))
    assert [path.name for path in (tmp_path / "raw").rglob("*.avi")] == ["v_Archery_g01_c01.avi"]
    assert "libarchive" in caplog.text
    assert not list((tmp_path / "cache").rglob("videos.rar*"))


def test_fetch_leaves_nothing_where_videos_cannot_be_had(lists, offline, tmp_path):
    with refused("file.not-at-hand") as caught:
        Ucf101().fetch(tmp_path / "raw", offline)
    assert "UCF101.rar" in str(caught.value)
    assert "UCF101_videos.zip" in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_lists_are_checked_before_videos_are_looked_for(lists, offline, tmp_path):
    (lists / "testlist01.txt").write_text(NAMES[1] + "\n")
    with refused("splits.faults"):
        Ucf101().fetch(tmp_path / "raw", offline)


def test_the_classes_are_those_of_the_official_list(real_data):
    folder = real_data / "ucf101" / "ucfTrainTestlist"
    assert read_classes(folder / "classInd.txt") == CLASSES
    assert len(CLASSES) == FACTS.classes


def test_every_official_name_is_read(real_data):
    folder = real_data / "ucf101" / "ucfTrainTestlist"
    splits = read_splits(folder, CLASSES)
    name_of = name_reader(CLASSES, splits)
    lines = {line.split()[0] for path in folder.glob("t*list*.txt") for line in path.read_text().splitlines()}
    for line in lines:
        name = name_of(Path(line))
        assert name.clip_id == Path(line).stem
        assert name.label == Path(line).parent.name
    assert len(lines) == FACTS.clips


def test_the_real_mirror_goes_through(real_data, tmp_path):
    context = Context(cache=tmp_path / "cache", mirror=real_data, workers=1, download=False)
    Ucf101().fetch(tmp_path / "raw", context)
    catalogue = Ucf101().catalogue(tmp_path / "raw", context)
    assert sorted(catalogue.clips["clip_id"]) == ["v_Basketball_g01_c01", "v_SoccerJuggling_g23_c01"]
    assert len(catalogue.missing) == 13_318
    assert set(catalogue.clips["width"]) == {320}
    assert dict(zip(catalogue.clips["clip_id"], catalogue.clips["split1"], strict=True)) == {
        "v_Basketball_g01_c01": "test",
        "v_SoccerJuggling_g23_c01": "train",
    }
