"""How many requests may be out, and to whom."""

from auction.webhooks.hooks import Hook, Webhooks
from auction.webhooks.lanes import GONE, GONE_AFTER_S, Lanes, Turn
from auction.webhooks.worker import LONGEST_PAUSE_S, pause_after
from storage.deliveries import Key, PutOff, Room

A, B, C = ("campaign:c", "a"), ("campaign:c", "b"), ("campaign:c", "c")


def a_hook(every_s: float | None = None, most: int = 1) -> Hook:
    return Hook("https://a/", lambda _: b"", "text/plain", (), None, every_s, most)


def hooks(*keys: Key) -> Webhooks:
    return Webhooks({key: a_hook() for key in keys})


def test_a_webhook_has_at_most_its_lanes() -> None:
    lanes = Lanes(at_once=16, per_webhook=4)
    assert lanes.plan([A], hooks(A)).rooms == [Room(A, 4)]
    for _ in range(3):
        lanes.take(A)
    assert lanes.plan([A], hooks(A)).rooms == [Room(A, 1)]
    lanes.take(A)
    assert lanes.plan([A], hooks(A)).rooms == []
    lanes.give_back(A, delivered=True)
    assert lanes.plan([A], hooks(A)).rooms == [Room(A, 1)]


def test_all_together_have_at_most_what_is_free_and_take_turns() -> None:
    lanes = Lanes(at_once=5, per_webhook=4)
    first = lanes.plan([A, B], hooks(A, B)).rooms
    second = lanes.plan([A, B], hooks(A, B)).rooms
    assert sorted([first, second], key=str) == [
        [Room(A, 4), Room(B, 1)],
        [Room(B, 4), Room(A, 1)],
    ]


def test_a_failing_webhook_has_one_lane_until_it_answers_again() -> None:
    lanes = Lanes()
    lanes.take(A)
    lanes.give_back(A, delivered=False)
    assert lanes.plan([A], hooks(A)).rooms == [Room(A, 1)]
    lanes.take(A)
    assert lanes.plan([A], hooks(A)).rooms == []
    lanes.give_back(A, delivered=True)
    assert lanes.plan([A], hooks(A)).rooms == [Room(A, 4)]


def test_a_batch_takes_one_lane_whatever_it_holds() -> None:
    batched = Webhooks({A: a_hook(60.0, 500), B: a_hook()})
    turn = Turn(Lanes(at_once=5), batched)
    assert turn.batches([A, B, C]) == [Room(A, 500, 60.0)]
    assert turn.plan([A, B]).rooms == [Room(B, 4), Room(A, 500, 60.0)]
    assert turn.plan([A, B]).rooms == [Room(A, 500, 60.0), Room(B, 4)]


def test_what_can_not_be_used_is_put_off_and_what_is_gone_given_up() -> None:
    plan = Lanes().plan([A, B, C], Webhooks({A: a_hook()}, {B: "no secret"}))
    assert [room.key for room in plan.rooms] == [A]
    assert set(plan.put_off) == {PutOff(B, "no secret"), PutOff(C, GONE, GONE_AFTER_S)}


def test_pauses_grow_from_a_second_to_an_hour() -> None:
    assert pause_after(1) == 1.0
    assert 1.0 <= pause_after(2) <= 2.0
    assert all(1.0 <= pause_after(tries) <= LONGEST_PAUSE_S for tries in range(1, 60))
    assert max(pause_after(40) for _ in range(50)) > 600
    assert len({pause_after(10) for _ in range(10)}) > 1
