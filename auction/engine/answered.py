"""Answers given a moment ago, for retries that come when nothing may be begun."""

from collections import OrderedDict

from auction.domain.ids import CallId

MOST_ANSWERS = 2_000


class RecentAnswers:
    """The last answers that bind their retries, at most ``MOST_ANSWERS``."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[CallId, bytes], bytes] = OrderedDict()

    def keep(self, call_id: CallId, fingerprint: bytes, answer: bytes) -> None:
        """One answer more; the oldest goes."""
        self._answers[call_id, fingerprint] = answer
        if len(self._answers) > MOST_ANSWERS:
            self._answers.popitem(last=False)

    def find(self, call_id: CallId, fingerprint: bytes) -> bytes | None:
        """The answer to the same call, if it is kept."""
        return self._answers.get((call_id, fingerprint))
