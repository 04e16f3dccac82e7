"""data/watched/<dataset>: an empty file, or a link to the user's own place."""

import pytest
from refusals import refused

from pan_core.params.load import Params
from pan_core.workspace.watched_source import WATCHED, watch_source


def params(dataset, **sections):
    return Params.model_validate({"dataset": dataset, **sections})


def test_a_dataset_that_is_downloaded_or_made_has_an_empty_file(tmp_path):
    watched = watch_source(params("actors"), tmp_path)
    assert watched == tmp_path / WATCHED / "actors"
    assert watched.read_bytes() == b""
    stamp = watched.stat().st_mtime_ns
    watch_source(params("actors"), tmp_path)
    assert watched.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("folder", ["data/incoming", "footage", "/absolute"])
def test_footage_is_linked(tmp_path, folder):
    place = tmp_path / "elsewhere" if folder == "/absolute" else tmp_path / folder
    place.mkdir(parents=True)
    (place / "a.mp4").write_text("video")
    own = params("surveillance", surveillance={"folder": str(place) if folder == "/absolute" else folder})
    watched = watch_source(own, tmp_path)
    assert watched.is_symlink()
    assert [path.name for path in watched.iterdir()] == ["a.mp4"]


def test_the_link_follows_the_parameter(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.mp4").write_text("video")
        watched = watch_source(params("surveillance", surveillance={"folder": name}), tmp_path)
        assert [path.name for path in watched.iterdir()] == [f"{name}.mp4"]
    assert (tmp_path / "first" / "first.mp4").is_file()


def test_a_place_that_is_gone_is_not_linked(tmp_path):
    (tmp_path / "footage").mkdir()
    own = params("surveillance", surveillance={"folder": "footage"})
    watch_source(own, tmp_path)
    (tmp_path / "footage").rmdir()
    watched = watch_source(own, tmp_path)
    assert (watched.is_symlink(), watched.read_bytes()) == (False, b"")


def test_a_data_folder_on_another_disk(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "data").symlink_to(tmp_path / "disk")
    (tmp_path / "project" / "footage").mkdir()
    (tmp_path / "project" / "footage" / "a.mp4").write_text("video")
    watched = watch_source(params("surveillance", surveillance={"folder": "footage"}), tmp_path / "project")
    assert [path.name for path in watched.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("folder", [".", "data"])
def test_a_place_that_contains_the_project_is_refused(tmp_path, folder):
    (tmp_path / "data").mkdir()
    with refused("watched.contains-project"):
        watch_source(params("surveillance", surveillance={"folder": folder}), tmp_path)


@pytest.mark.parametrize("dataset", ["actors", "surveillance"])
def test_a_folder_in_its_place_is_refused(tmp_path, dataset):
    (tmp_path / WATCHED / dataset).mkdir(parents=True)
    (tmp_path / "footage").mkdir()
    with refused("watched.unusable"):
        watch_source(params(dataset, surveillance={"folder": "footage"}), tmp_path)


def test_a_pickle_is_linked(tmp_path):
    (tmp_path / "poses.pkl").write_bytes(b"pickle")
    assert watch_source(params("pyskl", pyskl={"path": "poses.pkl"}), tmp_path).read_bytes() == b"pickle"
    assert watch_source(params("pyskl"), tmp_path).read_bytes() == b""
