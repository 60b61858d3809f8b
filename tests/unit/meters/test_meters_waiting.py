"""Which answers could be mistaken for the one asked for, and for how long that is waited out."""

from __future__ import annotations

from edgectl.meters.buses import ECHO_MS
from edgectl.meters.rtu import Answer
from edgectl.meters.waiting import LATE_MS, Shapes

AMPS, ENERGY = (4, 18), (4, 24)


def test_the_answer_before_repeated_passes_for_one_of_its_length_only() -> None:
    shapes = Shapes()
    shapes.note(AMPS, Answer((1,)), 0)
    assert shapes.is_mistakable(AMPS)
    assert not shapes.is_mistakable(ENERGY)
    assert shapes.free_at(AMPS, 0) == ECHO_MS
    shapes.note(ENERGY, Answer((1,)), 500)
    assert not shapes.is_mistakable(AMPS)


def test_what_was_asked_and_never_heard_may_still_be_said_however_long_ago() -> None:
    """A meter that was away begins with the answer it had ready, three seconds late or more."""
    shapes = Shapes()
    shapes.note(ENERGY, Answer((1,)), 0)
    shapes.note(AMPS, Answer(None, "timeout"), 1_000)
    assert shapes.free_at(AMPS, 1_000) == 1_000 + LATE_MS
    assert shapes.is_mistakable(AMPS), "when it may be asked for again it is taken only if nothing follows"
    shapes.note(AMPS, Answer((1,)), 5_000)
    shapes.note(ENERGY, Answer((1,)), 6_000)
    assert not shapes.is_mistakable(AMPS)


def test_a_link_that_fails_leaves_nothing_behind() -> None:
    shapes = Shapes()
    shapes.note(AMPS, Answer(None, "link-refused", is_link_trouble=True), 0)
    assert not shapes.is_mistakable(AMPS)
