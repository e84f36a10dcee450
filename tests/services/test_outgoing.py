"""The bound on conversations with foreign servers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from mailsvc.core.refusals import TooBusy
from mailsvc.courier.targets import Targets
from mailsvc.services.outgoing import Outgoing


def test_only_so_many_at_once() -> None:
    outgoing = Outgoing(Targets([]), at_once=3)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(outgoing.turn())
        with pytest.raises(TooBusy), outgoing.turn():
            pass
    with outgoing.turn():
        pass


def test_a_turn_ends_also_when_the_conversation_fails() -> None:
    outgoing = Outgoing(Targets([]), at_once=1)
    for _ in range(3):
        with pytest.raises(OSError), outgoing.turn():
            raise OSError
    with outgoing.turn():
        pass


def test_the_thread_is_lent_for_just_as_long() -> None:
    outgoing = Outgoing(Targets([]), at_once=1)
    seen: list[str] = []

    @contextmanager
    def lent() -> Iterator[None]:
        seen.append("lent")
        yield
        seen.append("back")

    outgoing.lent = lent
    with outgoing.turn():
        seen.append("talks")
        with pytest.raises(TooBusy), outgoing.turn():
            pass
    assert seen == ["lent", "talks", "back"]
