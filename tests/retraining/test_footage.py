"""Footage, ledger and memory that are damaged."""

import re
import shutil

import pytest
from deliveries import deliver, hold_out, receive
from refusals import refused

from pan_core.errors import DataError


def damaged_ledger(folder):
    (folder / "deliveries.json").write_text("[]")


def no_ledger(folder):
    (folder / "deliveries.json").unlink()


def own_folder(folder):
    (folder / "mine").mkdir()


def lost_folder(folder):
    shutil.rmtree(folder / "2026-11-02")


@pytest.mark.parametrize(
    ("spoil", "code", "names"),
    [
        (damaged_ledger, "ledger.damaged", "deliveries.json"),
        (no_ledger, "footage.unknown-folder", "2026-11-02"),
        (own_folder, "footage.unknown-folder", "mine"),
        (lost_folder, "footage.delivery-gone", "2026-11-02"),
    ],
)
def test_footage_that_is_not_as_its_ledger_has_it_is_left_alone(footage, incoming, context, spoil, code, names):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    shutil.rmtree(folder)
    spoil(footage.folder)
    before = sorted(footage.folder.rglob("*"))
    with refused(code, DataError) as caught:
        receive(footage, incoming, context)
    assert names in str(caught.value)
    assert "dvc checkout" in str(caught.value)
    assert sorted(footage.folder.rglob("*")) == before


def test_videos_and_a_holdout_that_are_gone_are_told(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hold_out(footage, context)
    footage.folder.with_suffix(".dvc").touch()
    (footage.folder / "holdout.json").unlink()
    with refused("holdout.gone", DataError):
        hold_out(footage, context)
    (footage.folder / "2026-11-02" / "ann.avi").unlink()
    with refused("footage.video-gone", DataError) as caught:
        receive(footage, incoming, context)
    assert "ann.avi" in str(caught.value)


@pytest.mark.parametrize("labels", ["3", "null", '"Walking"'])
def test_a_damaged_ledger_is_told_with_the_way_back(footage, incoming, context, labels):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    path = footage.folder / "deliveries.json"
    path.write_text(re.sub(r'"labels": \[[^]]*\]', f'"labels": {labels}', path.read_text()))
    with refused("ledger.damaged", DataError):
        receive(footage, incoming, context)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"stamps": 3}', "{", '{"failed": {"2026-11-02": "x"}, "told": {"a": []}}']
)
def test_a_damaged_memory_costs_work_and_nothing_else(footage, incoming, context, content):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    (footage.folder.parent / "deliveries.json").write_text(content)
    assert receive(footage, incoming, context)["2026-11-02"].state == "known"
