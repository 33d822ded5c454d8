"""Transactions that lost against another one."""

import asyncpg
import pytest

from auction.ports import StorageUnavailableError
from storage.retries import TRIES, TryAgainError, retrying


class Losing:
    """Loses so many times, then wins."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left = times
        self.error = error
        self.runs = 0

    async def run(self) -> str:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "stored"


@pytest.mark.parametrize(
    "error",
    [asyncpg.DeadlockDetectedError("x"), asyncpg.SerializationError("x"), TryAgainError()],
    ids=lambda error: type(error).__name__,
)
async def test_a_transaction_that_lost_is_run_again(error: Exception) -> None:
    work = Losing(TRIES - 1, error)
    assert await retrying(work.run) == "stored"
    assert work.runs == TRIES


async def test_one_that_always_loses_is_given_up() -> None:
    work = Losing(TRIES, asyncpg.DeadlockDetectedError("x"))
    with pytest.raises(StorageUnavailableError):
        await retrying(work.run)
    assert work.runs == TRIES


async def test_other_errors_pass_at_once() -> None:
    work = Losing(1, asyncpg.UniqueViolationError("x"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await retrying(work.run)
    assert work.runs == 1
