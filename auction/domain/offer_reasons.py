"""What became of every call of a campaign with one of its offers: one outcome for each call.

What a decision can't be asked again stands in its trace; what follows from the offer's fixed terms
is decided again, by the terms of the revision that the call was decided by.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from auction.domain.call import Call
from auction.domain.eligibility import fixed_refusal
from auction.domain.reasons import Reason
from auction.domain.report_figures import NOT_ELIGIBLE, TracedOffer, is_win
from auction.domain.terms import OfferTerms


@dataclass(slots=True)
class OfferReasons:
    """``calls`` = ``won`` + the sum of ``reasons`` + ``untold``.

    ``reasons`` counts by number. ``untold``: calls whose trace or personal data is no longer kept,
    so that nobody can tell. ``eligible``: of the others, where the offer might have taken the call.
    """

    calls: int = 0
    won: int = 0
    eligible: int = 0
    untold: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)

    def add_untold(self) -> None:
        """Count a call of which is not kept what it takes to tell."""
        self.calls += 1
        self.untold += 1

    def add_traced(self, line: TracedOffer) -> None:
        """Count a call whose trace has a line of the offer."""
        self.calls += 1
        code = line["code"]
        if code not in NOT_ELIGIBLE:
            self.eligible += 1
        if is_win(line) or code is None:
            self.won += 1
        else:
            self.reasons[Reason(code)] += 1

    def add_refused(self, call: Call, offer: OfferTerms, quality: int | None) -> None:
        """Count a call whose trace has no line of the offer: by its terms it was not asked.

        ``quality`` is the call's score when it was decided.
        """
        self.calls += 1
        scored = call if quality is None else replace(call, quality=quality)
        refused = fixed_refusal(scored, offer)
        self.reasons[Reason.NOT_ASKED if refused is None else refused.reason] += 1
