"""Recognizers that come with the package, a folder each; README.md in it says what one learnt from, and how good it is.

`pan_core.recognition.pretrained.stock_files` opens them; the other modules here are the command that makes them,
`pan recognizer train-everyday`.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
STOCK = {"everyday": FOLDER / "everyday"}
"""Folders by the name that `Recognizer.from_pretrained` and `--model` take."""
