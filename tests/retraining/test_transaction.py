"""Changes to the footage that are taken back, or stay."""

import shutil

import pytest
from deliveries import deliver, receive, relabel

from pan_core.retraining.footage import Footage


def test_footage_on_trial_is_brought_back_unless_it_is_to_stay(footage, incoming, context):
    def content():
        return {
            path.relative_to(footage.folder): path.read_bytes() for path in footage.folder.rglob("*") if path.is_file()
        }

    folder = deliver(incoming, "2026-11-02")
    footage.transaction.begin()
    receive(footage, incoming, context)
    footage.transaction.recover()
    assert not footage.folder.exists()
    receive(footage, incoming, context)
    before = content()
    other = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    relabel(folder, "ann.avi,0,1,Walking", "ann.avi,0,1,Falling")
    footage.transaction.begin()
    receive(footage, incoming, context)
    assert len(footage.ledger.taken) == 2
    Footage(footage.folder, footage.folder.with_name("deliveries.json")).transaction.recover()  # a later process
    assert content() == before
    footage.transaction.begin()
    receive(footage, incoming, context)
    footage.transaction.end()
    footage.transaction.recover()
    assert len(footage.ledger.taken) == 2
    (other / "_WITHDRAWN").touch()
    footage.transaction.begin()
    receive(footage, incoming, context)
    footage.transaction.recover()
    assert (footage.folder / "2026-11-09" / "dan.avi").is_file()


@pytest.mark.parametrize("version", ["", "outs:\n- md5: b1b8891f4f71ec5b77d5476d84b926d2.dir\n  path: footage\n"])
def test_a_version_that_dvc_was_killed_in_writing_is_none(footage, incoming, context, version):
    described = footage.folder.with_suffix(".dvc")
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    if version:
        described.write_text(version)
    deliver(incoming, "2026-11-09", ("dan",), shade=7)
    footage.transaction.begin()
    receive(footage, incoming, context)
    described.write_text("outs:\n- md5: 41")
    footage.transaction.recover()
    assert [path.name for path in sorted(footage.folder.iterdir()) if path.is_dir()] == ["2026-11-02"]
    assert (described.read_text() if version else described.exists()) == (version or False)


def test_a_correction_on_trial_is_taken_again_where_the_trial_does_not_end(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    relabel(folder, "ann.avi,0,1,Walking", "ann.avi,0,1,Falling")
    for _ in range(2):
        footage.transaction.begin()
        assert receive(footage, incoming, context)["2026-11-02"].change == "corrected"
        footage.transaction.recover()


def test_what_has_a_version_since_is_not_brought_back(footage, incoming, context):
    """Killed after DVC had it; or a person has begun anew, or checked out another version."""
    deliver(incoming, "2026-11-02")
    footage.transaction.begin()
    receive(footage, incoming, context)
    footage.folder.with_suffix(".dvc").write_text("md5: 1\n")
    footage.transaction.recover()
    assert len(footage.ledger.taken) == 1
    footage.transaction.begin()
    shutil.rmtree(footage.folder)
    footage.folder.with_suffix(".dvc").unlink()
    footage.transaction.recover()
    assert not footage.folder.exists()


def test_a_recovery_that_was_killed_is_gone_on_with(footage, incoming, context, monkeypatch):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    footage.transaction.begin()
    deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(footage.transaction, "end", interrupt)
        footage.transaction.recover()
    footage.transaction.recover()
    assert len(footage.ledger.taken) == 1


def interrupt():
    raise KeyboardInterrupt
