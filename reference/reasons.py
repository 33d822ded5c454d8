"""The numbered reasons, and why a call gets no route."""

from auction.domain.reasons import (
    FIXED_TERMS,
    FIXED_TERMS_MEANING,
    NO_ROUTE_MEANINGS,
    WON,
    Reason,
)
from reference.markdown import code, page, table

_INTRO = f"""\
The `outcome` and `code` of each offer in a [decision trace](../howto/decision-trace.md); numbers
are never reused. The offer that got the call is `{WON}` and has no number. Numbers at a hundred
stand for their kind where nothing closer is known."""


def reasons_page() -> str:
    """The page: reasons of offers, then those of calls."""
    offers = ((str(int(each)), code(each.outcome), each.meaning) for each in Reason)
    calls = ((code(name), meaning) for name, meaning in NO_ROUTE_MEANINGS.items())
    return page(
        "Reference: reasons",
        "`auction/domain/reasons.py`",
        _INTRO,
        table(("code", "outcome", "meaning"), offers),
        "In the `reasons` of [reports](../reports.md) stands one more, which has no number:",
        table(("reason", "meaning"), [(code(FIXED_TERMS), FIXED_TERMS_MEANING)]),
        "## Calls without a route",
        "The `reason` of an answer whose `action` is `no_route`.",
        table(("reason", "meaning"), calls),
    )
