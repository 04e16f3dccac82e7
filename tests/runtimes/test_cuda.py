"""Where networks run: the choice by every reason, and what this machine really has."""

import logging

import numpy as np
import onnxruntime
import pytest
from refusals import refused

from pan_core.errors import ConfigError
from pan_core.pose.pretrained import NETWORKS
from pan_core.runtimes import cuda
from pan_core.runtimes.cuda import choose_device, cuda_fault, missing_provider, open_on_cuda, require_device
from pan_core.runtimes.onnx_session import CPU_PROVIDER, CUDA_PROVIDER, OnnxSession

without_gpu = pytest.mark.skipif(not cuda_fault(), reason="this machine runs networks on a GPU")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == cuda.__name__]


@pytest.mark.parametrize(
    ("wanted", "fault", "device"), [("auto", "", "cuda"), ("cuda", "", "cuda"), ("auto", "no GPU", "cpu")]
)
def test_the_gpu_is_taken_where_nothing_is_amiss(wanted: str, fault: str, device: str) -> None:
    assert choose_device(wanted, lambda: fault) == device


def test_who_asks_for_the_processor_has_nothing_looked_at() -> None:
    assert choose_device("cpu", lambda: pytest.fail("CUDA would be loaded")) == "cpu"


def test_cuda_that_cannot_be_used_is_refused_with_the_reason() -> None:
    with refused("device.missing", ConfigError) as caught:
        choose_device("cuda", lambda: "its driver is too old")
    assert caught.value.names == ("device",)
    assert "its driver is too old" in str(caught.value) and "docs/pose.md" in str(caught.value)


@pytest.mark.parametrize(("gpu", "level"), [(True, logging.WARNING), (False, logging.INFO)])
def test_auto_says_in_one_line_why_it_takes_the_processor(
    gpu: bool, level: int, tmp_path: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cuda, "GPU_FILES", ((str(tmp_path), "nvidia*"),))
    if gpu:
        (tmp_path / "nvidia0").touch()  # type: ignore[operator]
    caplog.set_level(logging.INFO)
    assert choose_device("auto", lambda: "its driver is too old") == "cpu"
    ((found, line),) = lines(caplog)
    assert found == level and "its driver is too old" in line and "\n" not in line


@without_gpu
def test_this_machine_says_what_it_lacks(capfd: pytest.CaptureFixture[str]) -> None:
    fault = cuda_fault()
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        assert fault == missing_provider() and CPU_PROVIDER in fault
    else:  # onnxruntime-gpu is here, but no GPU for it
        assert missing_provider() == ""
    assert fault and "\n" not in fault
    assert capfd.readouterr() == ("", "")


@without_gpu
def test_a_session_that_would_quietly_run_on_the_processor_is_refused() -> None:
    assert OnnxSession(NETWORKS["nanodet"], provider=CUDA_PROVIDER).provider == CPU_PROVIDER
    with refused("device.missing", ConfigError):
        open_on_cuda(NETWORKS["nanodet"])


@without_gpu
def test_a_run_is_refused_only_for_cuda() -> None:
    require_device("auto")
    require_device("cpu")
    if missing_provider():
        with refused("device.missing"):
            require_device("cuda")


@pytest.mark.skipif(bool(cuda_fault()), reason=f"no GPU: {cuda_fault()}")
@pytest.mark.parametrize("name", ["movenet_lightning", "nanodet"])
def test_a_gpu_gives_what_the_processor_gives(name: str) -> None:
    side = {"movenet_lightning": 192, "nanodet": 416}[name]
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)
    on_gpu, here = open_on_cuda(NETWORKS[name]), OnnxSession(NETWORKS[name])
    for got, wanted in zip(
        on_gpu.run({"images": picture}, here.outputs), here.run({"images": picture}, here.outputs), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)
