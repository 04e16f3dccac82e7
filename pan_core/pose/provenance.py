"""Identity of the pose network that made skeletons: its weights, because another exporter writes another file."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pan_core.errors import ConfigError, DataError
from pan_core.files import sha256_of
from pan_core.pose.declared import ENDINGS, model_files, read_declaration


def network_hash(model: Path) -> str:
    """Hash of a network's weights, and of the declaration where it is a declared one.

    Raises:
        ConfigError: If the declaration is none.
        DataError: If a file is missing or no ONNX model.
    """
    digest = hashlib.sha256()
    for path in model_files(model):
        digest.update(path.read_bytes() if path.suffix in ENDINGS else b"".join(sorted(_hash_weights(path))))
    return digest.hexdigest()


def _hash_weights(path: Path) -> Iterator[bytes]:
    """A hash of each matrix or larger array, or of the whole file where there are none."""
    import onnx  # late: optional
    from google.protobuf.message import DecodeError  # late: optional
    from onnx import numpy_helper  # late: optional

    try:
        arrays = [numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer if len(each.dims) > 1]
    except (DecodeError, ValueError, TypeError, OSError) as error:
        raise DataError(f"{path}: not an ONNX model ({error})", code="pose-model.unusable") from error
    if not arrays:
        yield sha256_of(path).encode()
    for array in arrays:
        yield hashlib.sha256(f"{array.shape} {array.dtype}".encode() + array.tobytes()).digest()


def require_pinned(model: Path) -> None:
    """Refuse a declaration that does not name its model's hash: DVC sees the declaration alone.

    Raises:
        ConfigError: With the line that is missing.
    """
    if model.suffix not in ENDINGS:
        return
    declaration = read_declaration(model)
    if declaration.sha256 is None and declaration.path.is_file():
        raise ConfigError(
            str(model),
            [
                f"sha256: missing, so that a run would not see another model; add `sha256: {sha256_of(declaration.path)}`"
            ],
            code="pose-declaration.not-pinned",
        )
