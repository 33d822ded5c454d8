"""Names, label values and buckets of every metric: published, so changed only with the contract."""

from enum import StrEnum

from auction.domain.reasons import Reason
from auction.domain.terms import Cap, Measure, Period

CALLS = "pingpost_calls"
TEST_CALLS = "pingpost_test_calls"
NEXT_ROUTES = "pingpost_next_routes"
ROUTES = "pingpost_routes"
PINGS = "pingpost_pings"
PING_SECONDS = "pingpost_ping_seconds"
BIDS = "pingpost_bids"
BID_AMOUNT = "pingpost_bid_amount"
POSTS = "pingpost_posts"
POST_SECONDS = "pingpost_post_seconds"
DECISION_SECONDS = "pingpost_decision_seconds"
OVERHEAD_SECONDS = "pingpost_overhead_seconds"
LIVE_CALLS = "pingpost_live_calls"
CAP_USED_RATIO = "pingpost_cap_used_ratio"
REVENUE = "pingpost_revenue"
PAYOUT = "pingpost_payout"
BREAKER_STATE = "pingpost_breaker_state"
SHADOW_HELD_BACK = "pingpost_shadow_held_back"
LEDGER_BATCH_SIZE = "pingpost_ledger_batch_size"
LEDGER_SECONDS = "pingpost_ledger_seconds"
LEDGER_WAITING = "pingpost_ledger_waiting"
CALLS_IN_FLIGHT = "pingpost_calls_in_flight"
OVERLOAD_LEVEL = "pingpost_overload_level"
OVERLOADED_CALLS = "pingpost_overloaded_calls"
EVENT_LOOP_LAG_SECONDS = "pingpost_event_loop_lag_seconds"
ALERTS_FIRING = "pingpost_alerts_firing"
DEAD_LETTERS = "pingpost_dead_letters"
REPORT_BACKLOG = "pingpost_report_backlog"
REPORT_BACKLOG_SECONDS = "pingpost_report_backlog_seconds"
READY = "pingpost_ready"
FOLDED_LABELS = "pingpost_folded_labels"
WORKERS = "pingpost_workers"
WORKER_RESTARTS = "pingpost_worker_restarts"

UNKNOWN = "unknown"
"""The ``campaign`` of calls that belong to none."""

OTHER = "other"
"""The ``offer`` or ``campaign`` of what is beyond the limit of label values, or gone."""

RESERVED_LABELS = frozenset({UNKNOWN, OTHER})


class CallOutcome(StrEnum):
    """How a call was routed."""

    AUCTION = "auction"
    STATIC = "static"
    NO_ROUTE = "no_route"


class PostOutcome(StrEnum):
    """How a post ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    ERROR = "error"


class Unasked(StrEnum):
    """What became of a call for which the load left no time."""

    STATIC = "static"
    REFUSED = "refused"


BID = "bid"
"""The outcome of a ping that brought a valid bid."""

PING_OUTCOMES: tuple[str, ...] = (
    BID,
    *(
        reason.outcome
        for reason in (
            Reason.NO_BID,
            Reason.ERROR,
            Reason.TIMEOUT,
            Reason.MALFORMED_REPLY,
            Reason.UNREACHABLE,
            Reason.BAD_STATUS,
            Reason.OVERSIZE_REPLY,
            Reason.NOT_AWAITED,
            Reason.BREAKER_OPEN,
            Reason.THROTTLED,
            Reason.BUDGET_TOO_SMALL,
            Reason.OUTBOUND_LIMIT,
            Reason.BELOW_MINIMUM,
            Reason.INVALID_BID,
            Reason.WRONG_CURRENCY,
            Reason.EXPIRED,
        )
    ),
)
"""Every outcome that a ping can have; any other is counted as ``error``."""

SHADOW_REASONS: tuple[str, ...] = (Reason.BREAKER_OPEN.outcome, Reason.THROTTLED.outcome)
"""What would have held a ping back if it did more than count."""

PING_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5)
POST_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0)
DECISION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200)
LEDGER_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class CapOwner(StrEnum):
    """Whose limit a ``cap`` label speaks of."""

    OFFER = "offer"
    BUYER = "buyer"


def cap_label(owner: CapOwner, cap: Cap) -> str:
    """The ``cap`` of one limit: ``offer_calls_per_day``, ``buyer_revenue_in_total``, and so on."""
    return _CAP_LABELS[owner, cap.measure, cap.period]


def concurrency_label(owner: CapOwner) -> str:
    """The ``cap`` of a limit on live calls."""
    return f"{owner}_concurrency"


def _cap_name(owner: CapOwner, measure: Measure, period: Period) -> str:
    window = "in_total" if period is Period.TOTAL else f"per_{period.name.lower()}"
    return f"{owner}_{measure.name.lower()}_{window}"


_CAP_LABELS = {
    (owner, measure, period): _cap_name(owner, measure, period)
    for owner in CapOwner
    for measure in Measure
    for period in Period
}

CAP_LABELS: tuple[str, ...] = (
    *_CAP_LABELS.values(),
    *(concurrency_label(owner) for owner in CapOwner),
)
"""Every value that the label ``cap`` can have."""
