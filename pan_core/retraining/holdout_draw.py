"""Choice of the holdout: drawn once with the first footage, and extended by groups that nobody has learnt from.

What a holdout is, and which part of the split a clip gets from it, is in `pan_core.datasets.holdout`.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from pan_core.datasets.base import Context
from pan_core.datasets.holdout import BRING_BACK, HOLDOUT, SPLIT, Holdout, plain_name
from pan_core.datasets.manifests import read_any
from pan_core.datasets.splits import group_splits, groups_of
from pan_core.datasets.surveillance import AUTO, VIDEOS, Surveillance, best_grouping
from pan_core.errors import DataError
from pan_core.evaluation.class_parts import draw_validation, require_classes
from pan_core.files import scratch_folder, write_json
from pan_core.retraining.footage import Footage
from pan_core.retraining.inbox import WITHDRAWN, DeliveryRefused
from pan_core.retraining.ledger import Entry, Ledger
from pan_core.tables import splits_of


@dataclass(frozen=True)
class DrawRules:
    """How the holdout is drawn.

    Attributes:
        group: What is never on both sides; "auto" for the best that all rows say.
        folds: One part in so many decides.
        share: Share of what is left, to validate on.
        seed: Seed of the draw.
        least: Clips that should decide.
    """

    group: str
    folds: int
    share: float
    seed: int
    least: int = 1


def hold_out(footage: Footage, rules: DrawRules, context: Context, new: Collection[str] = ()) -> Holdout:
    """Choose the videos that decide and those that validate: at the first time, and the same ever after.

    If too few clips decide, groups that come for the first time decide, too, until there are enough.

    Args:
        footage: Has at least one delivery.
        rules: How to draw.
        context: As for a dataset.
        new: Deliveries of which nothing was ever learnt.

    Raises:
        DataError: If the footage has too few groups to set some apart, or the holdout is gone, was drawn by another
            group, or has a video without a usable clip; or if a part would show one class only.
    """
    path = footage.folder / HOLDOUT
    if not path.is_file():
        if footage.version.exists:
            raise DataError(
                f"{path}: is gone; a new one would test on what models have learnt from; {BRING_BACK}",
                code="holdout.gone",
            )
        write_json(path, asdict(draw_holdout(footage.folder, rules, context)))
        return Holdout.read(path)
    holdout = Holdout.read(path)
    require_group(holdout, rules.group, footage.folder)
    clips = catalogued(footage.folder, holdout.group, context)
    if new and (wider := extend_holdout(holdout, footage.ledger, clips, rules.least, frozenset(new))):
        write_json(path, asdict(holdout := wider))
    parts = holdout.split(clips["path"], clips["group"])
    if lacking := [part for part in ("train", "val", "test") if part not in set(parts)]:
        raise DataError(
            f"{path}: no clip would be left for {' and '.join(lacking)}; see what was corrected or withdrawn",
            code="holdout.part-empty",
        )
    require_classes(clips.assign(**{SPLIT: parts}), SPLIT)
    return holdout


def require_group(holdout: Holdout | None, group: str, folder: Path) -> None:
    """Refuse another grouping than that of the holdout, if there is one.

    Raises:
        DataError: With the one that it was drawn by.
    """
    if holdout and group not in (AUTO, holdout.group):
        raise DataError(
            f"surveillance.group is {group}, but the holdout of {folder} was drawn by {holdout.group} and stays, or no two "
            f"versions could be compared; set surveillance.group to auto or {holdout.group}",
            code="holdout.other-group",
        )


def draw_holdout(folder: Path, rules: DrawRules, context: Context) -> Holdout:
    """Test and validation part of that split by group whose test part has most of the classes that are learnt; of equals the first.

    Raises:
        DataError: If there are fewer than three groups.
    """
    group = best_grouping(read_any(folder).rows) if rules.group == AUTO else rules.group
    clips = catalogued(folder, group, context)
    groups = groups_of(clips).nunique()
    if groups < 3:
        raise DataError(
            f"{folder}: of its {groups} groups (by {group}) one must decide and two be learnt from, 3 are needed; "
            "deliver recordings of other people or places, or set surveillance.group to what they differ in",
            code="holdout.too-few-groups",
        )
    folds = min(rules.folds, groups, max(2, int(clips["label"].value_counts().max())))
    clips = group_splits(clips, folds=folds, seed=rules.seed)
    split = max((f"split{number}" for number in splits_of(clips)), key=lambda name: _classes_of_both(clips, name))
    parts = draw_validation(clips, split, share=rules.share, seed=rules.seed)
    test, val = (tuple(sorted(clips["path"][parts == part].unique())) for part in ("test", "val"))
    return Holdout(group, test, val)


def extend_holdout(
    holdout: Holdout, ledger: Ledger, clips: pd.DataFrame, least: int, new: frozenset[str]
) -> Holdout | None:
    """Holdout with groups that come for the first time, those with most classes first; None if none is needed, or none comes.

    Args:
        holdout: The one so far.
        ledger: Knows who was in the footage before.
        clips: Clip table of `catalogued`.
        least: Clips that should decide.
        new: Deliveries of which nothing was ever learnt.
    """
    missing = least - int((clips[SPLIT] == "test").sum())
    groups = clips["group"].map(plain_name)
    fresh = clips["path"].str.partition("/")[0].isin(new)
    # Somebody who was there before may have been learnt from, also by a recognizer that outlives a withdrawal.
    entries = (*ledger.taken, *ledger.withdrawn)
    before = {name for entry in entries for name in entry.get("groups", {}).get(holdout.group, ())}
    fresh &= ~groups.isin(before | set(groups[~fresh]))
    fresh &= ~clips["path"].isin({*holdout.videos, *holdout.validation})
    # A video of several groups decides only if all of them are new.
    fresh &= ~clips["path"].isin(set(clips.loc[~fresh, "path"]))
    added: list[str] = []
    found = clips[fresh].assign(group=groups[fresh])
    for _, own in sorted(found.groupby("group"), key=lambda each: (-each[1]["label"].nunique(), each[0])):
        if missing > 0:
            added += own["path"].unique().tolist()
            missing -= len(own)
    return replace(holdout, videos=tuple(sorted({*holdout.videos, *added}))) if added else None


def without_delivery(holdout: Holdout, name: str) -> Holdout:
    """Holdout without the videos of a delivery.

    Raises:
        DeliveryRefused: If nothing would be left to decide, or nothing to validate.
    """
    videos, validation = (
        tuple(video for video in part if not video.startswith(f"{name}/"))
        for part in (holdout.videos, holdout.validation)
    )
    if not (videos and validation):
        raise DeliveryRefused(
            "all videos that decide, or all that validate, are in it, and without them no two models could be compared; "
            "begin anew as docs/retraining.md says",
            code="delivery.all-of-holdout",
        )
    return replace(holdout, videos=videos, validation=validation)


def require_kept(holdout: Holdout | None, entry: Entry, hashes: Mapping[str, str]) -> None:
    """Refuse a correction that loses a video that decides or validates; its labels may be corrected.

    Args:
        holdout: The holdout, None before it is drawn.
        entry: The delivery before the correction.
        hashes: SHA-256 of its videos after it.

    Raises:
        DeliveryRefused: With the first such video.
    """
    kept = {*holdout.videos, *holdout.validation} if holdout else set()
    lost = [
        video
        for video, digest in entry["hashes"].items()
        if f"{entry['name']}/{video}" in kept and hashes.get(video) != digest
    ]
    if lost:
        raise DeliveryRefused(
            f"{len(lost)} of its videos decide or validate, such as {lost[0]}, and would be gone or another; put them back (their "
            f"labels may change), or withdraw the whole delivery by {WITHDRAWN}",
            code="delivery.holdout-changed",
        )


def catalogued(folder: Path, group: str, context: Context) -> pd.DataFrame:
    """Clip table of the footage as the pipeline will read it, except for paths, which are relative to the footage."""
    options = {"folder": str(folder), "group": group}
    with scratch_folder(folder.parent, "holdout") as scratch:
        dataset, context = Surveillance(), replace(context, options=options)
        dataset.fetch(scratch / "raw", context)
        clips = dataset.catalogue(scratch / "raw", context).clips
    return clips.assign(path=clips["path"].str.removeprefix(f"{VIDEOS}/"))


def _classes_of_both(clips: pd.DataFrame, split: str) -> int:
    """Number of classes that have clips in the test part and in the rest."""
    test = clips[split] == "test"
    return len(set(clips.loc[test, "label"]) & set(clips.loc[~test, "label"]))
