"""Deliveries that are taken out of the footage again."""

from deliveries import deliver, hold_out, receive


def test_a_delivery_can_be_taken_out_again(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    (folder / "_WITHDRAWN").touch()
    receipt = receive(footage, incoming, context)["2026-11-09"]
    assert (receipt.state, len(footage.ledger.taken)) == ("withdrawn", 1)
    assert not (footage.folder / "2026-11-09").exists()
    again = receive(footage, incoming, context)["2026-11-09"]
    assert (again.state, again.change) == ("withdrawn", "")


def test_a_delivery_of_which_part_decides_can_be_withdrawn_but_not_all_that_decides(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    wider = hold_out(footage, context, least=4, new=["2026-11-09"])
    assert "2026-11-09/dan.avi" in wider.videos
    (folder / "_WITHDRAWN").touch()
    assert receive(footage, incoming, context)["2026-11-09"].state == "withdrawn"
    assert hold_out(footage, context) == drawn
    (incoming / "2026-11-02" / "_WITHDRAWN").touch()
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.code) == ("refused", "delivery.all-of-holdout")
    assert [entry["name"] for entry in footage.ledger.taken] == ["2026-11-02"]


def test_what_was_withdrawn_does_not_come_back_by_itself_nor_decides_later(footage, incoming, context):
    """Somebody may have learnt from it."""
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    (folder / "_WITHDRAWN").touch()
    receive(footage, incoming, context)
    (folder / "_WITHDRAWN").unlink()
    assert receive(footage, incoming, context)["2026-11-09"].code == "delivery.withdrawn"
    folder.rename(incoming / "2026-11-10")
    assert receive(footage, incoming, context)["2026-11-10"].state == "taken"
    assert hold_out(footage, context, least=4, new=["2026-11-10"]) == drawn
