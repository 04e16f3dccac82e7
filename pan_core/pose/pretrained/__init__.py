"""Trained networks that come with the package, as declarations beside their files; README.md says where they come from.

They are stored with weights of 16 bits, as they were published, and run with 32.
"""

from pathlib import Path

from pan_core.errors import DataError
from pan_core.files import restore_advice, sha256_of

FOLDER = Path(__file__).parent
DECLARATIONS = {"movenet": FOLDER / "movenet.yaml", "movenet_thunder": FOLDER / "movenet_thunder.yaml"}
"""Networks that find people and their joints, by name."""
NETWORKS = {
    "movenet_lightning": FOLDER / "movenet_lightning.onnx",
    "movenet_thunder": FOLDER / "movenet_thunder.onnx",
    "nanodet": FOLDER / "nanodet.onnx",
}
"""What they are made of; `pan_core.pose.pretrained.convert` writes these files."""
PAPER_STRICT = FOLDER / "paper_strict.onnx"
"""The paper's own network; `pan_core.pose.pretrained.store_strict` writes it."""
README = FOLDER / "README.md"
HASHES = {
    "movenet.yaml": "5de780b2e93834eedbbc93192044f9731ec77def661c99a0fb620e4bb5de98fb",
    "movenet_lightning.onnx": "281aff265833dd2db845ad8b9a0ae3ecf23b4d2a0c52b1b0730c8498630b7fd0",
    "movenet_thunder.onnx": "313fba43bb050a01726d82aa7e0e38e60755b6cfae7f6449ef862dcf9a5eb657",
    "movenet_thunder.yaml": "2577d32acbea946228a0303c373087997f2a9142c0ccf5e27aedc8033c826f2e",
    "nanodet.onnx": "d784a42f336b8f703cfa8826357c43f9ad1c11dc9de2efa19a98ce67c060b51d",
    "paper_strict.onnx": "674ea1aa3533b8340c3b3e1231c0b218a5a31d7d915c1f96f249a353690d249a",
}
"""SHA-256 of each file that comes with the package."""


def require_whole(file: Path) -> None:
    """Refuse a file of the package that is missing, cut short or another; files elsewhere are not looked at.

    Raises:
        DataError: With what brings it back.
    """
    if file.name not in HASHES or file.absolute() != (FOLDER / file.name).absolute():
        return
    if not file.is_file():
        fault, code = "missing, but it comes with the package", "pretrained.missing"
    elif (found := sha256_of(file)) != HASHES[file.name]:
        fault, code = f"damaged, its hash is {found[:12]}, expected {HASHES[file.name][:12]}", "pretrained.damaged"
    else:
        return
    raise DataError(f"{file}: {fault}; {restore_advice(file.absolute(), root=FOLDER.parents[2])}", code=code)
