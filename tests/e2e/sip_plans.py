"""What each caller does and meets: settled by the caller's number alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

MINIMUM_S = 2
SHORT_MS = 700
LONG_MS = 3000

CAPPED, OPEN, SLOW, EMPTY = "+18005550100", "+18005550101", "+18005550102", "+18005550103"
TOLD, MANY = "+18005550104", "+18005550105"
UNKNOWN = "+18005550199"


class Centre(StrEnum):
    """What a call centre does with a caller; all but ``ANSWERS`` are patterns of its scenario."""

    ANSWERS = "ANSWERS"
    BUSY = "BUSY"
    UNAVAILABLE = "UNAVAILABLE"
    RINGS = "RINGS"
    SILENT = "SILENT"
    HANGS_UP_SOON = "SHORT"
    HANGS_UP_LATE = "LONG"


REASONS = {
    Centre.BUSY: "busy",
    Centre.UNAVAILABLE: "dial_failed",
    Centre.SILENT: "dial_failed",
    Centre.RINGS: "no_answer",
}
"""Why an attempt failed, as the CDR has it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Callers of one kind. ``met``: what each offer does, in the order in which it is tried.

    ``code`` are two digits of their numbers, ``scenario`` what sipp plays for them.
    """

    name: str
    code: str
    scenario: str
    dials: str
    met: tuple[tuple[str, Centre], ...] = ()
    stay_ms: int = 0

    def at(self, offer: str) -> Centre:
        """What this plan's callers meet there."""
        return dict(self.met).get(offer, Centre.ANSWERS)

    @property
    def talked_ms(self) -> int:
        """How long they talk where they are answered at last; 0 for nobody."""
        if not self.met:
            return 0
        lasting = {
            Centre.ANSWERS: self.stay_ms,
            Centre.HANGS_UP_SOON: SHORT_MS,
            Centre.HANGS_UP_LATE: LONG_MS,
        }
        return lasting.get(self.met[-1][1], 0)


PRICES = {
    "alpha-capped": Decimal("50.00"),
    "alpha-told": Decimal("30.00"),
    "beta-capped": Decimal("40.00"),
    "beta-open": Decimal("45.00"),
    "beta-told": Decimal("20.00"),
    "delta-open": Decimal("41.50"),
    "gamma-many": Decimal("12.00"),
    "gamma-open": Decimal("15.25"),
    "slow-bidder": Decimal("33.00"),
}
"""What each offer pays for a call of at least ``MINIMUM_S`` seconds."""

FULL = "for the best buyer, who has a cap"

PLANS: tuple[Plan, ...] = (
    Plan(FULL, "20", "stays", CAPPED, (("alpha-capped", Centre.ANSWERS),), LONG_MS),
    Plan("answered", "21", "stays", OPEN, (("beta-open", Centre.ANSWERS),), LONG_MS),
    Plan("gone too soon", "22", "stays", OPEN, (("beta-open", Centre.ANSWERS),), SHORT_MS),
    Plan(
        "busy, then answered",
        "23",
        "stays",
        OPEN,
        (("beta-open", Centre.BUSY), ("delta-open", Centre.ANSWERS)),
        LONG_MS,
    ),
    Plan(
        "no answer, then answered",
        "24",
        "stays",
        OPEN,
        (("beta-open", Centre.RINGS), ("delta-open", Centre.ANSWERS)),
        LONG_MS,
    ),
    Plan(
        "unavailable, then answered",
        "25",
        "stays",
        OPEN,
        (("beta-open", Centre.UNAVAILABLE), ("delta-open", Centre.ANSWERS)),
        LONG_MS,
    ),
    Plan(
        "no sign of life, then answered",
        "26",
        "stays",
        OPEN,
        (("beta-open", Centre.SILENT), ("delta-open", Centre.ANSWERS)),
        LONG_MS,
    ),
    Plan(
        "two busy, then a static offer",
        "27",
        "stays",
        OPEN,
        (
            ("beta-open", Centre.BUSY),
            ("delta-open", Centre.BUSY),
            ("gamma-open", Centre.ANSWERS),
        ),
        LONG_MS,
    ),
    Plan(
        "all busy",
        "28",
        "refused-480",
        OPEN,
        (
            ("beta-open", Centre.BUSY),
            ("delta-open", Centre.BUSY),
            ("gamma-open", Centre.BUSY),
        ),
    ),
    Plan("hangs up while it rings", "29", "cancels-ringing", OPEN, (("beta-open", Centre.RINGS),)),
    Plan("hung up on too soon", "30", "hung-up-on", OPEN, (("beta-open", Centre.HANGS_UP_SOON),)),
    Plan("hung up on", "31", "hung-up-on", OPEN, (("beta-open", Centre.HANGS_UP_LATE),)),
    Plan(
        "hangs up while it is decided",
        "32",
        "cancels-deciding",
        SLOW,
        (("slow-bidder", Centre.RINGS),),
    ),
    Plan("nobody buys", "33", "refused-480", EMPTY),
    Plan("a number of no campaign", "34", "refused-404", UNKNOWN),
)

OVER_MS = 5000

TALKS_OVER = Plan("talks over it", "40", "stays", OPEN, (("beta-open", Centre.ANSWERS),), OVER_MS)
RINGS_OVER = Plan(
    "rings as it comes", "41", "stays", OPEN, (("beta-open", Centre.RINGS),), SHORT_MS
)
ASKED_OVER = Plan("is asked about", "42", "stays", SLOW, (), SHORT_MS)
MEANWHILE = Plan("calls meanwhile", "43", "stays", OPEN, (), SHORT_MS)
AFTERWARDS = Plan(
    "calls afterwards", "44", "stays", OPEN, (("beta-open", Centre.ANSWERS),), LONG_MS
)
VANISHES = Plan("vanishes", "45", "stays", CAPPED, (("alpha-capped", Centre.ANSWERS),), OVER_MS)
OUTAGE_PLANS = (TALKS_OVER, RINGS_OVER, ASKED_OVER, MEANWHILE, AFTERWARDS, VANISHES)
"""Calls around an outage of the service or the switch."""

TOLD_OF = Plan(
    "its trunk says more of it", "50", "stays", TOLD, (("alpha-told", Centre.ANSWERS),), SHORT_MS
)
NUMBERED = Plan("for a number", "51", "stays", TOLD, (("beta-told", Centre.ANSWERS),), LONG_MS)
REFERRED = Plan(
    "unavailable, then a number",
    "52",
    "stays",
    TOLD,
    (("alpha-told", Centre.UNAVAILABLE), ("beta-told", Centre.ANSWERS)),
    LONG_MS,
)
UNREACHED = Plan(
    "the number is unavailable", "53", "refused-480", TOLD, (("beta-told", Centre.UNAVAILABLE),)
)
TOLD_PLANS = (TOLD_OF, NUMBERED, REFERRED, UNREACHED)
"""Calls of which a trunk says more, and calls that go to a telephone number."""

LISTED = Plan("is listed", "54", "stays", MANY, (("gamma-many", Centre.ANSWERS),), 90_000)
"""A call so long that its switch lists it as live at least once, late enough to count."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One call to come."""

    number: str
    plan: Plan


def callers(plan: Plan, count: int) -> Iterator[Caller]:
    """So many callers of a kind, each with a number of its own."""
    for index in range(count):
        yield Caller(f"+13102{plan.code}{index:04d}", plan)


def pattern(offer: str, behaviour: Centre) -> str:
    """The numbers of all whom ``offer`` treats so, as a regular expression."""
    everyone = (*PLANS, *OUTAGE_PLANS, *TOLD_PLANS)
    codes = [plan.code for plan in everyone if dict(plan.met).get(offer) is behaviour]
    return rf"\+13102({'|'.join(codes)})[0-9]{{4}}" if codes else "nobody"


def of_scenario(chosen: Sequence[Caller], scenario: str) -> list[Caller]:
    """Those for whom sipp plays this scenario."""
    return [caller for caller in chosen if caller.plan.scenario == scenario]
