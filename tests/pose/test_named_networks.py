"""Names of pose networks, and the files that they stand for."""

from pathlib import Path

import pytest

from pan_core.params.schema import PoseParams
from pan_core.pose.named_networks import built_in_files, network_file, network_name
from pan_core.pose.pretrained import DECLARATIONS, PAPER_STRICT

COMING = {*DECLARATIONS.values(), PAPER_STRICT}


def test_the_papers_network_is_built_in_once_a_run_has_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(built_in_files()) == COMING
    file = Path("models/pose/pose.onnx")
    file.parent.mkdir(parents=True)
    file.touch()
    assert set(built_in_files()) == {*COMING, file}
    assert built_in_files()[-1] == file


@pytest.mark.parametrize("written", ["models/pose/pose.onnx", "./models/pose/pose.onnx", "models//pose/./pose.onnx"])
def test_however_the_papers_file_is_written_it_is_the_paper(written: str) -> None:
    params = PoseParams.model_validate({"network": written, "quality": "best"})
    assert params == PoseParams.model_validate({"network": "paper", "quality": "best"})


def test_a_file_has_its_name_wherever_it_is_seen_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(PAPER_STRICT.parent)
    assert network_name(tmp_path / "models" / "pose" / "pose.onnx") == "paper"
    assert network_name(Path("link") / "movenet.yaml") == "movenet"
    assert network_name(tmp_path / "elsewhere" / "models" / "pose" / "pose.onnx").endswith(
        "elsewhere/models/pose/pose.onnx"
    )
    for name in ("paper", "paper-strict", "movenet"):
        assert network_name(network_file(name, quality="best")) == name
