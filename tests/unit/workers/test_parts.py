"""What a parent hands to its workers, and what it shows of their processes."""

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import Metric

from auction.workers.assignment import Assignment, decode
from auction.workers.board import Board, Place
from auction.workers.connections import most_connections, server_settings
from auction.workers.figures import ProcessFigures
from auction.workers.parent import Parent
from auction.workers.sockets import bound, url_of
from config.secret_box import new_key
from config.settings import Settings, load_settings


def test_an_assignment_arrives_as_it_was_sent_secrets_and_defaults_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(
        {
            "data_dir": tmp_path,
            "workers": 3,
            "dsn": "postgresql://me:secret@db/x",
            "secret_key": new_key(),
            "bootstrap_token": "t0ken",
            "outbound_allow": "127.0.0.0/8,fd00::/8",
        }
    )
    sent = Assignment(2, "postgresql://me:secret@db/x", settings, (7, 8), 9, 10, 3)
    line = sent.encode()
    monkeypatch.setenv("PINGPOST_DRAIN_S", "1")
    monkeypatch.setenv("PINGPOST_LOG_LEVEL", "debug")
    assert decode(line) == sent
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_socket_that_is_bound_takes_callers_once_somebody_listens(host: str) -> None:
    with bound(host, 0) as listeners:
        first = listeners[0]
        port = first.getsockname()[1]
        assert url_of(first).endswith(f":{port}")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(first.getsockname()[:2])
        first.listen()
        socket.create_connection(first.getsockname()[:2]).close()
    assert all(listener.fileno() == -1 for listener in listeners)


def test_an_address_in_use_is_told() -> None:
    with bound("127.0.0.1", 0) as (first,):
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(OSError, match=rf"'127\.0\.0\.1', {port}"), bound("127.0.0.1", port):
            pytest.fail("it was bound twice")


def test_a_url_writes_an_ipv6_address_in_brackets() -> None:
    with bound("::1", 0) as (listener,):
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_an_embedded_server_has_a_connection_for_every_worker_twice(tmp_path: Path) -> None:
    few = Settings(data_dir=tmp_path, workers=2)
    many = Settings(data_dir=tmp_path, workers=32)
    assert most_connections(few) == 2 * 2 * (6 + 2) + 4
    assert server_settings(few) == {"max_connections": "200"}
    assert int(server_settings(many)["max_connections"]) > most_connections(many) > 500


def test_by_the_transaction_nothing_listens_and_takes_a_connection(tmp_path: Path) -> None:
    pooled = Settings(
        data_dir=tmp_path, workers=2, dsn="postgresql://db/", database_pooler="transaction"
    )
    assert most_connections(pooled) == 2 * 2 * 6 + 2


@dataclass
class Process:
    pid: int
    used_cpu_s: float | None = None


def shown(figures: ProcessFigures) -> dict[str, float]:
    metrics: list[Metric] = list(figures.collect())
    return {metric.name: metric.samples[0].value for metric in metrics}


def test_memory_and_files_are_summed_over_the_living_and_cpu_time_over_all() -> None:
    own = Process(pid=os.getpid())
    alone = shown(ProcessFigures(list))
    living = [own]
    figures = ProcessFigures(lambda: living)
    both = shown(figures)
    assert both["process_virtual_memory_bytes"] > alone["process_virtual_memory_bytes"]
    assert both["process_max_fds"] == alone["process_max_fds"]
    assert both["process_start_time_seconds"] == alone["process_start_time_seconds"]
    own.used_cpu_s = 1000.0
    ended = shown(figures)["process_cpu_seconds"]
    living.clear()
    figures.ended(own)
    gone = shown(figures)
    assert gone["process_cpu_seconds"] >= ended >= 1000
    assert gone["process_virtual_memory_bytes"] < both["process_virtual_memory_bytes"]


def test_a_place_on_the_board_is_given_once_and_again_when_it_is_cleared() -> None:
    board = Board(2)
    try:
        assert [board.give(), board.give()] == [0, 1]
        with pytest.raises(OSError, match="too many"):
            board.give()
        board.clear(0)
        assert board.give() == 0
    finally:
        board.close()


def test_a_process_beats_in_its_own_place() -> None:
    board = Board(2)
    try:
        first, second = (Place(os.dup(board.fd), board.give()) for _ in range(2))
        first.enter()
        second.enter()
        second.opened()
        for _ in range(3):
            second.beat()
        assert [board.beats(0), board.beats(1)] == [0, 3]
        assert [first.is_ahead(), second.is_ahead()] == [False, True]
    finally:
        board.close()


async def test_a_worker_that_can_not_be_started_leaves_its_place_on_the_board(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_process(_: Assignment) -> None:
        raise OSError(errno.EAGAIN, "no process")

    monkeypatch.setattr("auction.workers.parent.WorkerProcess", no_process)
    parent = Parent(Settings(workers=2, port=0, ops_port=0), "postgresql://nowhere", [])
    for _ in range(20):
        with pytest.raises(OSError, match="no process"):
            parent._start_worker(1)
    assert parent._board.give() == 0
    await parent._stack.aclose()
