"""Random buyers answer both transports alike, and no answer is taken for another request's."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from buyers.transport import Answer, FaultKind, RawAnswer, TransportFault
from tests.contract.buying import Open, open_aiohttp, open_native
from tests.property.transport_plans import After, Framing, Turn, outcomes, turns

Groups = list[list[Turn]]
LOOPS = {"stdlib": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def groups(*, damaged: bool) -> st.SearchStrategy[Groups]:
    """A few requests one after another, some of them at once."""
    alone = turns(damaged=False) | turns(damaged=True) if damaged else turns(damaged=False)
    together = st.lists(turns(damaged=False).map(fair), min_size=2, max_size=3)
    return st.lists(st.tuples(alone).map(list) | together, min_size=1, max_size=4)


def fair(turn: Turn) -> Turn:
    """Where requests are under way at once, one may take over a connection before its end shows."""
    closes = turn.after is After.CLOSE
    return replace(turn, after=After.SAY_CLOSE, surplus=0) if closes else turn


def searched(
    request: pytest.FixtureRequest,
    plans: st.SearchStrategy[Groups],
    check: Callable[[Groups], None],
) -> None:
    """Check many plans; ten times as many in the long form."""
    long = bool(request.config.getoption("--all-steps"))
    examples = settings(
        max_examples=2_000 if long else 40,
        # Plans are told in a line, and a fault of timing can't be made smaller.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    examples(given(plans)(check))()


async def played(opening: Open, plan: Groups) -> list[Answer | None]:
    async with opening() as transport:
        return await outcomes(transport, plan)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_both_transports_tell_the_same_of_every_buyer(
    request: pytest.FixtureRequest, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:

        def check(plan: Groups) -> None:
            native = runner.run(played(open_native, plan))
            aiohttp = runner.run(played(open_aiohttp, plan))
            assert native == aiohttp
            for tag, (turn, answer) in enumerate(zip(flat(plan), native, strict=True)):
                assert_own(turn, tag, answer)

        searched(request, groups(damaged=False), check)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_what_is_not_http_any_more_harms_no_other_request(
    request: pytest.FixtureRequest, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:

        def check(plan: Groups) -> None:
            native = runner.run(played(open_native, plan))
            aiohttp = runner.run(played(open_aiohttp, plan))
            for tag, turn in enumerate(flat(plan)):
                if turn.damage:
                    assert_compatible(native[tag], aiohttp[tag])
                else:
                    assert native[tag] == aiohttp[tag]
                    assert_own(turn, tag, native[tag])

        searched(request, groups(damaged=True), check)


def flat(plan: Groups) -> list[Turn]:
    return [turn for group in plan for turn in group]


def assert_own(turn: Turn, tag: int, answer: Answer | None) -> None:
    """An answer is the one to this request, or the part of it that was sent."""
    if not isinstance(answer, RawAnswer):
        return
    assert answer.status == turn.status
    assert answer.retry_after == (str(tag) if turn.retry_after else None)
    whole = b"" if turn.status in {204, 304} else turn.body(tag)
    if turn.framing in {Framing.UNTIL_CLOSED, Framing.OLD}:
        assert whole.startswith(answer.body)
    else:
        assert answer.body == whole


def assert_compatible(native: Answer | None, aiohttp: Answer | None) -> None:
    """Of a damaged answer the native transport reads no more into it than the lenient one."""
    if isinstance(native, RawAnswer) and isinstance(aiohttp, RawAnswer):
        assert native == aiohttp
    elif isinstance(native, RawAnswer):
        # Nonsense behind an answer spoils it only where it comes along with it.
        assert isinstance(aiohttp, TransportFault)
        assert aiohttp.kind is FaultKind.MALFORMED
