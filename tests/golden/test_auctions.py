"""Golden auctions: each file in ``auctions/`` is one story, and documentation.

``pytest tests/golden --update-golden`` writes what happens now into the files; review the diff.
"""

from pathlib import Path

import orjson
import pytest

from tests.golden.runner import play
from tests.virtual_time import run_virtually

FILES = sorted((Path(__file__).parent / "auctions").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_auction_goes_as_written(path: Path, pytestconfig: pytest.Config) -> None:
    golden = orjson.loads(path.read_bytes())
    happened = run_virtually(play(golden))
    if pytestconfig.getoption("--update-golden"):
        written = orjson.dumps({**golden, "expect": happened}, option=orjson.OPT_INDENT_2)
        path.write_bytes(written + b"\n")
    else:
        assert happened == golden["expect"]


def test_there_are_golden_auctions() -> None:
    assert len(FILES) >= 20
