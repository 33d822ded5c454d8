"""Letting go of connections, and going down."""

from auction.web.drain import Drain


def test_letting_go_of_connections_is_not_going_down() -> None:
    drain = Drain()
    assert drain.keeps_connections
    drain.let_go()
    assert (drain.keeps_connections, drain.draining) == (False, False)


def test_going_down_keeps_no_connection() -> None:
    drain = Drain()
    drain.begin()
    assert (drain.keeps_connections, drain.draining) == (False, True)
