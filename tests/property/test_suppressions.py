"""Lists of numbers never give a false answer, whatever was done to them in whatever spelling."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auction.domain.call import Caller
from auction.domain.ids import SuppressionId
from auction.domain.opening import Opened
from auction.web.number_import import How, NumberImport
from auction.web.number_lines import LineForm, NumberReader
from storage.database import Database
from storage.suppressions import SuppressedNumbers
from tests.ledger_steps import VAULT, a_ledger, a_recent_call, an_opening

LISTS = tuple(map(SuppressionId, ("dnc", "clients")))
NUMBERS = (*(f"+1310555{tail:04}" for tail in range(8)), "+442071838750")


@dataclass(frozen=True, slots=True)
class Body:
    """What is done to one list with some numbers, as they are written and cut into pieces."""

    name: SuppressionId
    how: How
    numbers: tuple[str, ...]
    spelling: int
    cut: int

    async def pieces(self) -> AsyncIterator[bytes]:
        text = "\n".join(_spelt(number, self.spelling) for number in self.numbers).encode()
        for start in range(0, len(text), self.cut):
            yield text[start : start + self.cut]


def _spelt(number: str, spelling: int) -> str:
    if not number.startswith("+1"):
        return number
    area, rest = number[2:5], number[5:]
    return (number, number[2:], f"({area}) {rest[:3]}-{rest[3:]}\r", f"tel:{number}")[spelling]


BODIES = st.builds(
    Body,
    st.sampled_from(LISTS),
    st.sampled_from(How),
    st.lists(st.sampled_from(NUMBERS), max_size=6).map(tuple),
    st.integers(0, 3),
    st.integers(1, 40),
)


def test_every_number_is_on_the_lists_that_it_was_put_on(dsn: str) -> None:
    @settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(BODIES, min_size=1, max_size=6), st.integers(0, 2**30))
    def holds(bodies: Sequence[Body], salt: int) -> None:
        asyncio.run(_hold(dsn, bodies, salt))

    holds()


async def _hold(dsn: str, bodies: Sequence[Body], salt: int) -> None:
    database = await Database.connect(dsn)
    try:
        lists = SuppressedNumbers(database)
        expected: defaultdict[SuppressionId, set[str]] = defaultdict(set)
        for name in LISTS:
            async with lists.replacing(name):
                pass
        for body in bodies:
            before, numbers = set(expected[body.name]), set(body.numbers)
            after = _after(body.how, before, numbers)
            reader = NumberReader(LineForm.TEXT, "US")
            work = NumberImport(lists, body.name, reader, VAULT.hash_number)
            tally = await work.run(body.how, body.pieces())
            changed = len(numbers if body.how is How.REPLACE else before ^ after)
            assert (tally.valid, tally.changed) == (len(body.numbers), changed)
            expected[body.name] = after
        await _answers_agree(database, lists, expected, salt)
    finally:
        await database.close()


def _after(how: How, before: set[str], numbers: set[str]) -> set[str]:
    if how is How.REPLACE:
        return numbers
    return before | numbers if how is How.ADD else before - numbers


async def _answers_agree(
    database: Database,
    lists: SuppressedNumbers,
    expected: dict[SuppressionId, set[str]],
    salt: int,
) -> None:
    """What calls are told, and what operators are."""
    for name in LISTS:
        assert await lists.count(name) == len(expected[name])
    calls = [
        a_recent_call(f"{salt}-{index}", caller=Caller(number))
        for index, number in enumerate(NUMBERS)
    ]
    ledger = a_ledger(database)
    opened = await asyncio.gather(*(ledger.open(an_opening(call)) for call in calls))
    for number, result in zip(NUMBERS, opened, strict=True):
        on = tuple(sorted(name for name in LISTS if number in expected[name]))
        assert tuple(await lists.lists_of(VAULT.hash_number(number))) == on
        assert isinstance(result, Opened)
        assert result.suppressed == on
    await ledger.close()
