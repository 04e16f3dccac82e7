"""Trained networks that come with the package, as declarations beside their files; README.md says where they come from.

They are stored with weights of 16 bits, as they were published, and run with 32.
"""

from pathlib import Path

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
