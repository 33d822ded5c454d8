"""The operations on returns and complaints."""

from typing import Final, Literal

from auction.web.claim_requests import ClaimRequest
from auction.web.openapi.answers import Answer, Instant, Money
from auction.web.openapi.operation import WITH_BODY, Operation, Operations


class Returned(Answer):
    """What a return did; ``amount`` is what the buyer's side comes to now."""

    call_id: str
    event_id: str
    result: Literal["withdrawn", "repeated"]
    amount: Money
    currency: str | None


class Complained(Answer):
    """What became of a complaint."""

    call_id: str
    event_id: str
    result: Literal["booked", "repeated"]


class ListedClaim(Answer):
    """One claim; ``credited`` is what the buyer got back, ``withheld`` what the source lost."""

    event_id: str
    buyer: str
    offer: str
    reason: str
    note: str | None
    credited: Money
    withheld: Money
    made_at: Instant


class ReturnsOfCall(Answer):
    """The returns of a call in the order they were made."""

    returns: list[ListedClaim]


class ComplaintsAboutCall(Answer):
    """The complaints about a call in the order they were made."""

    complaints: list[ListedClaim]


class ClaimRates(Answer):
    """Claims on the calls of one offer or source; ``converted`` counts those returned too."""

    name: str
    routed: int
    converted: int
    returned: int
    complaints: int
    return_rate: float | None
    complaint_rate: float | None
    credited: Money
    withheld: Money


class RatesListed(Answer):
    """The rates of every offer or source that had calls in the time."""

    by: Literal["offer", "source"]
    rows: list[ClaimRates]


_CLAIM: Final = (*WITH_BODY, 404, 409)

CLAIM_OPERATIONS: Final[Operations] = {
    ("POST", "/v1/calls/{call_id}/returns"): Operation(
        answers={200: Returned}, body=ClaimRequest, problems=_CLAIM
    ),
    ("POST", "/v1/calls/{call_id}/complaints"): Operation(
        answers={200: Complained}, body=ClaimRequest, problems=_CLAIM
    ),
    ("GET", "/v1/calls/{call_id}/returns"): Operation(
        answers={200: ReturnsOfCall}, problems=(404,)
    ),
    ("GET", "/v1/calls/{call_id}/complaints"): Operation(
        answers={200: ComplaintsAboutCall}, problems=(404,)
    ),
    ("GET", "/v1/returns"): Operation(
        answers={200: RatesListed},
        query={
            "from": {"type": "string", "format": "date-time"},
            "to": {"type": "string", "format": "date-time"},
            "by": {"type": "string", "enum": ["offer", "source"], "default": "offer"},
        },
        problems=(422,),
    ),
}
