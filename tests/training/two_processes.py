"""What `test_distributed.py` starts under torchrun: trains on stored samples and writes what each process got."""

import os
import pickle
import sys
from pathlib import Path

import torch

from pan_core.training.fit import fit

folder = Path(sys.argv[1])
torch.set_num_threads(1)
train, settings, network = pickle.loads((folder / "input.pkl").read_bytes())
logged = []
result = fit(
    train,
    None,
    settings=settings,
    model_settings=network,
    checkpoint=folder / "checkpoint.pt",
    seed=3,
    log=lambda epoch, row: logged.append(epoch),
)
torch.save(
    {"weights": result.model.state_dict(), "history": result.history, "logged": logged},
    folder / f"rank{os.environ['RANK']}.pt",
)
