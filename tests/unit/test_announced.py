"""Revisions that are ready ahead of their time come into force when it has come."""

import asyncio

import pytest

from auction.announced import RETRY_S, Announced
from tests.virtual_time import run_virtually

Entered = list[tuple[float, str]]


def announcing() -> tuple[Announced[str], Entered]:
    """And when which one was put in force."""
    entered: Entered = []

    async def enter(made: str) -> None:
        await asyncio.sleep(0.01)
        entered.append((round(asyncio.get_running_loop().time(), 1), made))

    return Announced(enter), entered


def test_what_is_not_announced_is_in_force_at_once() -> None:
    async def scenario() -> Entered:
        announced, entered = announcing()
        await announced.put(1, "one")
        await announced.put(2, "two", due=0.0)
        return entered

    assert run_virtually(scenario()) == [(0.0, "one"), (0.0, "two")]


def test_what_is_announced_is_in_force_when_it_is_due_and_nobody_waits_for_it_meanwhile() -> None:
    async def scenario() -> Entered:
        announced, entered = announcing()
        await announced.put(1, "one", due=20.0)
        assert asyncio.get_running_loop().time() == 0
        assert list(announced.waiting) == [1]
        await asyncio.sleep(19.9)
        assert entered == []
        await asyncio.sleep(1)
        assert list(announced.waiting) == []
        return entered

    assert run_virtually(scenario()) == [(20.0, "one")]


@pytest.mark.parametrize("jitter", [-0.1, 0.0, 0.1])
def test_of_two_that_are_due_together_only_the_newer_is_put_in_force(jitter: float) -> None:
    """Each was asked for by itself: the same time looks a little different."""

    async def scenario() -> list[str]:
        announced, entered = announcing()
        await announced.put(1, "one", due=20.0)
        await announced.put(2, "two", due=20.0 + jitter)
        assert list(announced.waiting) == [2]
        await asyncio.sleep(30)
        return [made for _, made in entered]

    assert run_virtually(scenario()) == ["two"]


def test_of_two_that_are_due_one_after_the_other_each_is_put_in_force_in_its_time() -> None:
    async def scenario() -> Entered:
        announced, entered = announcing()
        await announced.put(1, "one", due=20.0)
        await announced.put(2, "two", due=25.0)
        assert list(announced.waiting) == [1, 2]
        await asyncio.sleep(30)
        return entered

    assert run_virtually(scenario()) == [(20.0, "one"), (25.0, "two")]


def test_a_database_that_was_restored_takes_what_was_announced_with_it() -> None:
    async def scenario() -> Entered:
        announced, entered = announcing()
        await announced.put(8, "eight", due=20.0)
        await announced.put(5, "five")
        assert list(announced.waiting) == []
        await announced.put(6, "six", due=40.0)
        await announced.put(6, "another six", due=50.0)
        await asyncio.sleep(60)
        return entered

    assert run_virtually(scenario()) == [(0.0, "five"), (50.0, "another six")]


def test_one_that_fails_is_tried_until_it_is_in_force() -> None:
    async def scenario() -> list[float]:
        tried: list[float] = []

        async def enter(_: str) -> None:
            tried.append(asyncio.get_running_loop().time())
            if len(tried) < 3:
                raise ValueError("not yet")

        announced = Announced(enter)
        await announced.put(1, "one", due=10.0)
        await asyncio.sleep(60)
        return tried

    assert run_virtually(scenario()) == [10.0, 10.0 + RETRY_S, 10.0 + 2 * RETRY_S]


def test_one_that_fails_is_given_up_for_a_newer_one() -> None:
    async def scenario() -> list[str]:
        entered: list[str] = []

        async def enter(made: str) -> None:
            if made == "bad":
                raise ValueError("never")
            entered.append(made)

        announced = Announced(enter)
        await announced.put(1, "bad", due=10.0)
        await asyncio.sleep(12)
        await announced.put(2, "good")
        # Else this would be tried for ever, and the loop had always something to wait for.
        await asyncio.sleep(60)
        await announced.close()
        return entered

    assert run_virtually(scenario()) == ["good"]


def test_an_older_one_that_takes_long_never_comes_after_a_newer_one() -> None:
    async def scenario() -> list[str]:
        entered: list[str] = []

        async def enter(made: str) -> None:
            await asyncio.sleep(5 if made == "slow" else 0)
            entered.append(made)

        announced = Announced(enter)
        await announced.put(1, "slow", due=10.0)
        await asyncio.sleep(11)
        await announced.put(2, "quick")
        return entered

    assert run_virtually(scenario()) == ["slow", "quick"]


def test_one_that_is_tried_again_while_a_newer_one_is_put_in_force_is_given_up() -> None:
    async def scenario() -> list[str]:
        entered: list[str] = []
        fails = iter([True])

        async def enter(made: str) -> None:
            if made == "old" and next(fails, False):
                raise ValueError("not yet")
            await asyncio.sleep(5 if made == "new" else 0)
            entered.append(made)

        announced = Announced(enter)
        await announced.put(1, "old", due=10.0)
        await asyncio.sleep(10 + RETRY_S / 2)
        await announced.put(2, "new")
        await asyncio.sleep(60)
        return entered

    assert run_virtually(scenario()) == ["new"]


@pytest.mark.parametrize("after_s", [5.0, 10.005])
def test_who_has_stopped_puts_nothing_in_force_any_more(after_s: float) -> None:
    async def scenario() -> Entered:
        announced, entered = announcing()
        await announced.put(1, "one", due=10.0)
        await asyncio.sleep(after_s)
        await announced.close()
        await asyncio.sleep(60)
        return entered

    assert run_virtually(scenario()) == []
