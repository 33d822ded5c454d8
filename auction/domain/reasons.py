"""Numbered reasons, published and never reused (ranges after OpenRTB's seat-non-bid)."""

from enum import IntEnum


class Reason(IntEnum):
    """Why an offer did not win; its name is the ``outcome`` in a decision trace."""

    NO_BID = 0
    STANDBY = 1
    ERROR = 100
    TIMEOUT = 101
    MALFORMED_REPLY = 102
    UNREACHABLE = 103
    BAD_STATUS = 104
    OVERSIZE_REPLY = 105
    NOT_AWAITED = 106
    NOT_ASKED = 200
    PAUSED = 201
    CLOSED = 202
    HOLIDAY = 203
    MISSING_FIELD = 204
    FILTERED = 205
    CAP_REACHED = 206
    CONCURRENCY_FULL = 207
    DUPLICATE_CALLER = 208
    SUPPRESSED = 209
    BREAKER_OPEN = 210
    THROTTLED = 211
    BUDGET_TOO_SMALL = 212
    NOT_FOR_SALE = 213
    SOURCE_BLOCKED = 214
    OUTBOUND_LIMIT = 215
    OVERLOADED = 216
    INVALID_FIELD = 217
    CONSENT_MISSING = 218
    CONSENT_EXPIRED = 219
    OUTSIDE_SEGMENT = 220
    NUMBER_EXCLUDED = 221
    BID_REFUSED = 300
    BELOW_MINIMUM = 301
    INVALID_BID = 302
    WRONG_CURRENCY = 303
    EXPIRED = 304
    OUTBID = 305
    CAP_LOST = 306
    POST_REFUSED = 400
    POST_REJECTED = 401
    POST_UNKNOWN = 402
    POST_ERROR = 403
    ATTEMPT_FAILED = 500
    NO_ANSWER = 501
    BUSY = 502
    DIAL_FAILED = 503
    SHORT_CALL = 504
    CALLER_GONE = 505

    @property
    def outcome(self) -> str:
        """The lower-case name used in traces, metrics and reports."""
        return _OUTCOMES[int(self)]


_OUTCOMES = {int(reason): reason.name.lower() for reason in Reason}

HELD_BACK = frozenset({Reason.BREAKER_OPEN, Reason.THROTTLED, Reason.OVERLOADED})
"""Eligible offers that no ping was sent to, to spare them or ourselves; they may be static."""

WON = "won"
"""The outcome of the offer that got the call; it has no number."""


class NoRouteReason:
    """Why a call got no route: the ``reason`` of a ``no_route`` answer."""

    NO_ELIGIBLE_OFFER = "no_eligible_offer"
    NO_BID_AND_NO_STATIC = "no_bid_and_no_static"
    UNKNOWN_CAMPAIGN = "unknown_campaign"
    CALLER_BLOCKED = "caller_blocked"
    NUMBER_REJECTED = "number_rejected"
    ALREADY_CONVERTED = "already_converted"
    TOO_LATE = "too_late"
