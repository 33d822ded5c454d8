"""The demo on paper: everything fits, nothing is cut off."""

from decimal import Decimal
from io import StringIO
from typing import Any

from rich.console import Console

from auction.demo.figures import Check, OfferRow, OutcomeRow, Report
from auction.demo.presentation import progress_bar, show

OFFERS = tuple(
    OfferRow(offer, 300, 250, 40, 10, 99, 101, 5, Decimal("13891.76"), 148.4, 1281.6)
    for offer in ("acme-auto", "falcon-direct")
)
OUTCOMES = tuple(
    OutcomeRow(outcome, 300, 260, 250, Decimal("13891.76"), Decimal("9029.64"), 192.25, 1364.3)
    for outcome in ("auction", "static", "no_route")
)


def an_example() -> dict[str, Any]:
    def entry(offer: str, outcome: str, code: int | None, **more: object) -> dict[str, object]:
        nothing = {"detail": None, "bid": None, "ms": None, "rank": None}
        return {"offer": offer, "outcome": outcome, "code": code, **nothing, **more}

    offers = [
        entry("acme-west", "filtered", 205, detail="caller.state"),
        entry("beacon", "outbid", 305, bid="30.00", ms=71.26, rank=2),
        entry("acme", "won", None, bid="52.00", ms=35.0, rank=1),
        entry("cobalt", "timeout", 101, static=True),
    ]
    cdr = {
        "call_id": "demo-[1]",
        "caller_id": None,
        "offer": "acme",
        "routed_by": "auction",
        "price": "52.00",
        "currency": "USD",
        "connected_duration_s": 43.055,
        "revenue": "52.00",
    }
    times = {"eligible_ms": 0.2, "ping_ms": 101.0, "post_ms": 30.0, "total_ms": 135.04}
    return {"cdr": cdr, "trace": {**times, "offers": offers}}


def shown(*, holds: bool = True, width: int = 80) -> list[str]:
    paper = StringIO()
    report = Report("USD", OUTCOMES, OFFERS, (Check("1 is 1", holds),), an_example())
    show(Console(file=paper, width=width), report)
    return [line.rstrip() for line in paper.getvalue().splitlines()]


def test_tables_fit_a_terminal_of_80_columns() -> None:
    lines = shown()
    assert "…" not in "\n".join(lines)
    (row,) = [line.split() for line in lines if line.startswith(" falcon-direct")]
    assert row[1:] == ["300", "250", "40", "10", "99", "101", "5", "13891.76", "148", "1282"]
    (total,) = [line.split() for line in lines if line.startswith(" all")]
    assert total == ["all", "900", "780", "750", "41675.28", "27088.92", "14586.36"]


def test_the_decision_lists_ranked_offers_first_and_the_winner_on_top() -> None:
    lines = shown()
    start = lines.index("One decision in full")
    offers = [line.split()[:2] for line in lines[start + 4 : start + 8]]
    assert offers == [
        ["acme", "won"],
        ["beacon", "outbid"],
        ["cobalt", "timeout"],
        ["acme-west", "filtered"],
    ]
    text = "\n".join(lines)
    assert "call demo-[1] from a withheld caller to acme (auction) at 52.00 USD" in text
    assert "routed statically" in text


def test_the_verdict_says_whether_both_sides_agree() -> None:
    assert shown()[-1] == "Service and buyers agree on every figure."
    disagreeing = shown(holds=False)
    assert "DISAGREES 1 is 1" in disagreeing
    assert disagreeing[-1] == "Service and buyers do not agree."


def test_there_is_no_progress_bar_without_a_terminal() -> None:
    paper = StringIO()
    with progress_bar(Console(file=paper), 2) as bar:
        bar.step()
        bar.step()
    assert not paper.getvalue().strip()
