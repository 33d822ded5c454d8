"""Whoever asks about what they have just made finds it; nobody waits for what is nowhere."""

import asyncio

import pytest

from auction.domain.terms import Catalogue
from auction.ports import StorageUnavailableError
from auction.web.in_force import PATIENCE_S, TermsInForce
from tests.builders import a_campaign, a_catalogue
from tests.virtual_time import run_virtually

OLD = a_catalogue(a_campaign(), revision=1)
NEW = a_catalogue(a_campaign(), a_campaign(campaign_id="new", numbers=()), revision=2)


class Stored:
    """Revision 2 is stored, and in force ``after_s`` seconds from now on."""

    def __init__(self, after_s: float, newest: int = 2) -> None:
        self._after_s = after_s
        self._newest = newest
        self.asked = 0

    def terms(self) -> Catalogue:
        return NEW if asyncio.get_running_loop().time() >= self._after_s else OLD

    async def newest(self) -> int:
        self.asked += 1
        return self._newest


def look_for(campaign: str, stored: Stored) -> tuple[int, float]:
    """The revision that is found, and after how many seconds."""

    async def look() -> tuple[int, float]:
        in_force = TermsInForce(stored.terms, stored.newest)
        found = await in_force.having(lambda terms: campaign in terms.campaigns)
        return found.revision, asyncio.get_running_loop().time()

    return run_virtually(look())


def test_what_is_in_force_is_found_without_asking_anybody() -> None:
    stored = Stored(after_s=5)
    known = next(iter(OLD.campaigns))
    assert look_for(known, stored) == (1, 0)
    assert stored.asked == 0


def test_what_is_stored_already_is_waited_for() -> None:
    revision, after_s = look_for("new", Stored(after_s=0.4))
    assert revision == 2
    assert after_s == pytest.approx(0.4, abs=0.03)


def test_nobody_waits_when_nothing_newer_is_stored() -> None:
    assert look_for("new", Stored(after_s=5, newest=1)) == (1, 0)


def test_what_shows_all_changes_waits_for_the_newest() -> None:
    async def look() -> int:
        stored = Stored(after_s=0.4)
        return (await TermsInForce(stored.terms, stored.newest).latest()).revision

    assert run_virtually(look()) == 2


def test_the_patience_ends() -> None:
    assert look_for("new", Stored(after_s=5)) == (1, PATIENCE_S)


def test_before_the_first_revision_nothing_can_be_told() -> None:
    in_force = TermsInForce(lambda: None, Stored(after_s=0).newest)
    with pytest.raises(StorageUnavailableError):
        in_force.now()
