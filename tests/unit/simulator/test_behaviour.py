"""Seeded choices: they follow from seed, buyer, kind and key, and from nothing else."""

from collections import Counter

import pytest

from buyers.simulator.behaviour import Dice, Weights, status_of


def test_the_same_key_always_gets_the_same_draws() -> None:
    dice = Dice(7, "acme", "ping")
    first = dice.roll(b"1")
    dice.roll(b"2")
    assert dice.roll(b"1") == first == Dice(7, "acme", "ping").roll(b"1")


@pytest.mark.parametrize(
    "other", [Dice(8, "acme", "ping"), Dice(7, "b", "ping"), Dice(7, "acme", "post")]
)
def test_another_seed_buyer_or_kind_draws_otherwise(other: Dice) -> None:
    assert other.roll(b"1") != Dice(7, "acme", "ping").roll(b"1")


def test_draws_are_even_and_independent_of_each_other() -> None:
    dice = Dice(7, "acme", "ping")
    draws = [dice.roll(b"%d" % number) for number in range(4000)]
    quarters = Counter((int(draw.behaviour * 2), int(draw.amount * 2)) for draw in draws)
    assert all(0 <= value < 1 for draw in draws for value in draw)
    assert all(900 < count < 1100 for count in quarters.values())


def test_behaviours_come_as_often_as_their_weights_say() -> None:
    weights = Weights({"bid": 3, "hang": 1, "never": 0})
    chosen = Counter(weights.choose(number / 400) for number in range(400))
    assert chosen == {"bid": 300, "hang": 100}


def test_the_last_share_still_has_a_behaviour() -> None:
    assert Weights({"a": 0.1, "b": 0.2, "c": 0.0}).choose(1 - 2**-53) == "b"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("status_503", 503),
        ("status_200", 200),
        ("status_99", None),
        ("status_600", None),
        ("bid", None),
    ],
)
def test_a_status_is_read_from_its_name(name: str, status: int | None) -> None:
    assert status_of(name) == status
