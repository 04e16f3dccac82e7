"""Deliveries: small videos made here, 10 frames a second, with a manifest each; and the steps that take them."""

import shutil

import cv2
import numpy as np

from pan_core.datasets.base import Context
from pan_core.datasets.surveillance import Surveillance
from pan_core.retraining import holdout_draw, intake

HEADER = "video,start_s,end_s,label,camera,recorded_at,subject"


def make_video(path, frames=20, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), shade + number, np.uint8))
    writer.release()


def deliver(incoming, name, subjects=("ann", "ben", "cem"), labels=("Walking", "Falling"), *, marker=True, shade=0):
    """Two labelled seconds of each subject for each label, in one video a subject."""
    folder, lines = incoming / name, [HEADER]
    for number, subject in enumerate(subjects):
        make_video(folder / f"{subject}.avi", 20, shade + 40 * number)
        lines += [f"{subject}.avi,{at},{at + 1},{label},hall,2026-11-01,{subject}" for at, label in enumerate(labels)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    if marker:
        (folder / "_SUCCESS").touch()
    return folder


def relabel(folder, old, new):
    """Replace a text in the manifest of a delivery."""
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace(old, new))


def receive(footage, incoming, context, *, classes=(), max_unusable=0.1, recipe=""):
    """Receipts of all folders in the inbox, by name."""
    rules = intake.IntakeRules(frozenset(classes), max_unusable, recipe)
    return {receipt.name: receipt for receipt in intake.receive(footage, incoming, rules, context)}


def hold_out(footage, context, group="auto", *, folds=3, seed=0, least=1, new=()):
    """The holdout, drawn or extended."""
    rules = holdout_draw.DrawRules(group, folds=folds, share=0.15, seed=seed, least=least)
    return holdout_draw.hold_out(footage, rules, context, new)


def catalogue(footage, tmp_path, context):
    """Clip table of the footage, as the stages have it."""
    dataset = Surveillance()
    context = Context(context.cache, options={"folder": str(footage.folder), "seed": 0})
    shutil.rmtree(tmp_path / "raw", ignore_errors=True)
    dataset.fetch(tmp_path / "raw", context)
    return dataset.catalogue(tmp_path / "raw", context).clips
