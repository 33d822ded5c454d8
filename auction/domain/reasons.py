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

    @property
    def meaning(self) -> str:
        """What it says of an offer, in a sentence."""
        return _MEANINGS[self]


_OUTCOMES = {int(reason): reason.name.lower() for reason in Reason}

HELD_BACK = frozenset({Reason.BREAKER_OPEN, Reason.THROTTLED, Reason.OVERLOADED})
"""Eligible offers that no ping was sent to, to spare them or ourselves; they may be static."""

WON = "won"
"""The outcome of the offer that got the call; it has no number."""


FIXED_TERMS = "fixed_terms"
"""In reports: what no trace tells of an offer, as its fixed terms refused the call."""

FIXED_TERMS_MEANING = (
    "Paused, closed, filtered and the like together: what fixed terms refuse is not recorded call "
    "by call. Calls that were decided before any offer was looked at are among them."
)


class NoRouteReason:
    """Why a call got no route: the ``reason`` of a ``no_route`` answer."""

    NO_ELIGIBLE_OFFER = "no_eligible_offer"
    NO_BID_AND_NO_STATIC = "no_bid_and_no_static"
    UNKNOWN_CAMPAIGN = "unknown_campaign"
    CALLER_BLOCKED = "caller_blocked"
    NUMBER_REJECTED = "number_rejected"
    ALREADY_CONVERTED = "already_converted"
    TOO_LATE = "too_late"


_MEANINGS = {
    Reason.NO_BID: "It was asked and did not want the call.",
    Reason.STANDBY: "It could have taken the call at its fixed price and was not needed.",
    Reason.ERROR: "Something of ours went wrong while it was asked.",
    Reason.TIMEOUT: "No answer within its time.",
    Reason.MALFORMED_REPLY: "An answer that can't be read, or lacks what it must have.",
    Reason.UNREACHABLE: "No connection: name, address, port, TLS or proxy.",
    Reason.BAD_STATUS: "An HTTP status that is neither a bid nor a no-bid.",
    Reason.OVERSIZE_REPLY: "An answer larger than is read.",
    Reason.NOT_AWAITED: "Another bid had won before it answered.",
    Reason.NOT_ASKED: "It was not asked.",
    Reason.PAUSED: "The offer or its buyer is switched off.",
    Reason.CLOSED: "Outside its hours.",
    Reason.HOLIDAY: "Today is one of its closed dates.",
    Reason.MISSING_FIELD: "The call lacks a field that it requires.",
    Reason.FILTERED: "The call does not meet one of its filters.",
    Reason.CAP_REACHED: "A cap of the offer or its buyer is used up.",
    Reason.CONCURRENCY_FULL: "As many calls as it may have at once are live.",
    Reason.DUPLICATE_CALLER: "The caller came before, within the days of its rule.",
    Reason.SUPPRESSED: "The caller is on a list of its buyer.",
    Reason.BREAKER_OPEN: "It kept failing and is left alone for a while.",
    Reason.THROTTLED: "It has had its pings for this second.",
    Reason.BUDGET_TOO_SMALL: "The call leaves too little time to ask it.",
    Reason.NOT_FOR_SALE: "It neither bids nor has a fixed price.",
    Reason.SOURCE_BLOCKED: "It takes no calls of this source.",
    Reason.OUTBOUND_LIMIT: "A limit of our own towards its address was reached.",
    Reason.OVERLOADED: "The load left no time to ask it.",
    Reason.INVALID_FIELD: "A field does not have the form that it demands.",
    Reason.CONSENT_MISSING: "The call carries no consent that can be read.",
    Reason.CONSENT_EXPIRED: "The consent is older than it allows.",
    Reason.OUTSIDE_SEGMENT: "The call is kept for buyers with another tag.",
    Reason.NUMBER_EXCLUDED: "A rule of the dialled number leaves it out.",
    Reason.BID_REFUSED: "It bid, and the bid was not used.",
    Reason.BELOW_MINIMUM: "Its bid is below its minimum.",
    Reason.INVALID_BID: "An amount or a destination that can't be used.",
    Reason.WRONG_CURRENCY: "A bid in another currency.",
    Reason.EXPIRED: "The bid was not good any more when its turn came.",
    Reason.OUTBID: "Another valid bid ranked higher.",
    Reason.CAP_LOST: "Its last slot or unit went between its bid and its turn.",
    Reason.POST_REFUSED: "It had won, and the post did not bring the call there.",
    Reason.POST_REJECTED: "It refused the call when it was posted.",
    Reason.POST_UNKNOWN: "The post was sent and no readable answer came.",
    Reason.POST_ERROR: "The post could not be sent.",
    Reason.ATTEMPT_FAILED: "It got the call, and the attempt failed.",
    Reason.NO_ANSWER: "Nobody answered there.",
    Reason.BUSY: "It was busy.",
    Reason.DIAL_FAILED: "The switch could not dial it.",
    Reason.SHORT_CALL: "The call was answered and ended too soon.",
    Reason.CALLER_GONE: "The caller hung up before it was answered.",
}

NO_ROUTE_MEANINGS = {
    NoRouteReason.NO_ELIGIBLE_OFFER: "No offer of the campaign may take the call.",
    NoRouteReason.NO_BID_AND_NO_STATIC: "Nobody asked took it, and no fixed price was left.",
    NoRouteReason.UNKNOWN_CAMPAIGN: "Campaign and number are not known; a retry is decided anew.",
    NoRouteReason.CALLER_BLOCKED: "The caller is on a list that holds for the whole call.",
    NoRouteReason.NUMBER_REJECTED: "A rule of the dialled number refuses the call.",
    NoRouteReason.ALREADY_CONVERTED: "An earlier attempt has earned its conversion.",
    NoRouteReason.TOO_LATE: "The switch's time was over before a route could be stored.",
}
"""Every reason of a call without a route, and what it means."""
