"""Stage drift: footage that the champion has not learnt from, against what it has; pages with pictures in reports/drift.

It decides nothing: a challenger is judged by what it recognises. It says what a person should look at.
"""

from pan_core.errors import PanError
from pan_core.files import replace_folder
from pan_core.model.store import load_model
from pan_core.params.load import Params
from pan_core.quality.comparison import DriftSettings
from pan_core.quality.drift import write_drift
from pan_core.quality.profiles import profile
from pan_core.registry.models import PROFILE, registry_of
from pan_core.tables import read_table
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths
from pan_core.workspace.training_data import read_training_data


def run(params: Params, tracked: Run) -> dict:
    """Compare the clips to learn from that are new with those of the registered version `retrain.champion`.

    Raises:
        PanError: If there is no such version.
    """
    replace_folder(paths.DRIFT)
    found = _compare_with_champion(params, tracked)
    (paths.DRIFT / "verdict.txt").write_text(f"{found['verdict']}\n")
    return found


def _compare_with_champion(params: Params, tracked: Run) -> dict:
    if not params.retrain.champion:
        return {"verdict": "no champion to compare with"}
    registry = registry_of(params.dataset)
    version = registry.version(params.retrain.champion)
    try:
        folder = registry.fetch(version)
    except PanError as error:
        print(error)
        return {"verdict": f"the files of version {version.number} cannot be had"}
    if not (folder / PROFILE).is_file():
        return {"verdict": f"version {version.number} does not say what its footage was like"}
    reference, data = read_table("profile", folder / PROFILE), read_training_data()
    learnt = data.clips[data.clips[f"split{params.split.splits[0]}"].isin(["train", "val"])]
    new = learnt[~learnt["clip_id"].isin(reference["clip_id"])]
    if new.empty:
        return {"verdict": f"nothing that version {version.number} has not learnt from"}
    found = write_drift(
        paths.DRIFT,
        reference,
        profile(new, data.poses),
        DriftSettings(**params.drift.model_dump()),
        labels=load_model(folder).labels,
    )
    tracked.artifact(paths.DRIFT, "drift")
    tracked.tag("pan.drift", found.sentence)
    print(found.sentence, *found.findings, sep="\n  - ", flush=True)
    return found.as_dict() | {"champion": version.number}
