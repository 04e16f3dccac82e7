"""Steps of the flow "pan-retrain" as Prefect tasks, which log what they have done."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.pan import unless
from flows.reproduce import environment_of
from pan_core.datasets.holdout import Holdout
from pan_core.errors import DataError
from pan_core.params.load import Params
from pan_core.retraining import project
from pan_core.retraining.footage import Footage
from pan_core.retraining.label_tasks import LabelsError, write_label_tasks
from pan_core.retraining.receipts import Receipt

ONCE: Any = {"cache_policy": NO_CACHE, "persist_result": False}


@task(**ONCE, retries=2, retry_delay_seconds=30, retry_condition_fn=unless(DataError))
def fetch_deliveries(source: str, incoming: Path) -> list[Receipt]:
    """Bring whole deliveries from S3 into the inbox; returns a receipt for each that was left there."""
    names, left = project.fetch_source(source, incoming)
    get_run_logger().info("%s: %s", source, ", ".join(names) or "nothing new")
    return left


@task(**ONCE)
def receive(footage: Footage, params: Params, incoming: Path, only: Collection[str] | None = None) -> list[Receipt]:
    """Take what is new and usable into the footage."""
    receipts = project.receive_deliveries(footage, params, incoming, only)
    for receipt in receipts:
        get_run_logger().info("%s: %s, %s", receipt.name, receipt.state, receipt.reason)
    return receipts


@task(**ONCE)
def hold_out(footage: Footage, params: Params, new: list[str]) -> Holdout:
    """Choose the videos that decide: all of them at first, more of them if too few clips decide."""
    holdout = project.choose_holdout(footage, params, new)
    counts = len(holdout.videos), len(holdout.validation)
    get_run_logger().info("%d videos decide, %d validate, by %s", *counts, holdout.group)
    return holdout


@task(**ONCE)
def new_version(footage: Footage) -> str:
    """Give the footage as it is now to DVC; returns DVC's hash of it."""
    version = project.keep_version(footage)
    get_run_logger().info("version %s of the footage", version)
    return version


@task(**ONCE)
def suggest_labels(folder: Path, place: Path) -> None:
    """Write tasks for Label Studio with the champion's suggestions; if that fails, training goes on."""
    try:
        if printed := write_label_tasks(folder, place, environment_of(place)):
            get_run_logger().info(printed)
    except (LabelsError, DataError) as error:
        get_run_logger().warning("%s", error)
