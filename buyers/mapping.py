"""Mapped answers: an operator says where a buyer's answer keeps what, and what means yes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from auction.domain.bidding import (
    NoBid,
    PostAccepted,
    PostRejected,
    PostReply,
    PostUnknown,
    Quote,
)
from buyers.documents import FORMATS, Reading
from buyers.exact_json import MalformedAnswerError
from buyers.plain_dialect import says_accepted
from buyers.wording import clean_detail, text_of
from config.endpoints import Reading as ReadingTerms
from config.endpoints import Response

YES_WORDS = frozenset({"true", "1", "yes", "ok", "accepted"})
"""What means yes, in any case of letters, where ``equals`` names nothing."""

_LONGEST_INTEGER = 20


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Where an answer says yes or no. ``words`` None: the usual words for yes."""

    reading: Reading
    words: frozenset[str] | None = None

    def read(self, document: object, body: bytes) -> bool | None:
        """True for yes, False for anything else that is there, None when nothing is there."""
        value = self.reading.value(document, body)
        if value is None:
            return None
        forms = _text_forms(value)
        if self.words is None:
            return any(form.lower() in YES_WORDS for form in forms)
        return not self.words.isdisjoint(forms)


@dataclass(frozen=True, slots=True)
class AnswerMapping:
    """A compiled ``response``; None for what the answers don't tell."""

    parse: Callable[[bytes], object]
    accepted: Acceptance | None = None
    amount: Reading | None = None
    currency: Reading | None = None
    bid_id: Reading | None = None
    destination: Reading | None = None
    expires_in_s: Reading | None = None
    minimum_duration_s: Reading | None = None
    reason: Reading | None = None

    def read_ping(self, body: bytes) -> Quote | NoBid:
        """The bid in a ping's answer. Raises MalformedAnswerError.

        Without ``accepted`` mapped an amount is the yes, unless it is zero or the plain dialect's
        ``accepted`` says false; without either that ``accepted`` is the yes.
        """
        document = self.parse(body)
        amount = _read(self.amount, document, body)
        if not self._is_bid(document, body, amount):
            return NoBid(clean_detail(_read(self.reason, document, body)))
        return Quote(
            amount,
            _read(self.currency, document, body),
            _read(self.bid_id, document, body),
            _read(self.destination, document, body),
            _read(self.expires_in_s, document, body),
            _read(self.minimum_duration_s, document, body),
        )

    def _is_bid(self, document: object, body: bytes, amount: object) -> bool:
        if self.accepted is not None:
            return self.accepted.read(document, body) is True
        if self.amount is not None:
            refused = says_accepted(document) is False
            return not refused and amount is not None and not _is_zero(amount)
        return says_accepted(document) is True

    def read_post(self, body: bytes) -> PostReply:
        """What a post's answer says; unknown where it says neither yes nor no."""
        try:
            document = self.parse(body)
        except MalformedAnswerError as error:
            return PostUnknown(str(error))
        if self.accepted is None:
            yes = says_accepted(document)
        else:
            yes = self.accepted.read(document, body)
        if yes is None:
            return PostUnknown("the answer says neither yes nor no")
        if not yes:
            return PostRejected(clean_detail(_read(self.reason, document, body)))
        return PostAccepted(_read(self.destination, document, body))


def compile_mapping(response: Response) -> AnswerMapping:
    """Compile an offer's ``response``. Raises ExpressionFaultError."""
    answers = FORMATS[response.format]

    def reading(terms: ReadingTerms | None) -> Reading | None:
        return None if terms is None else Reading(answers.compile(terms.at))

    def acceptance(terms: ReadingTerms | None) -> Acceptance | None:
        if terms is None:
            return None
        return Acceptance(Reading(answers.compile(terms.at)), _words(terms.equals))

    return AnswerMapping(
        parse=answers.parse,
        accepted=acceptance(response.accepted),
        amount=reading(response.amount),
        currency=reading(response.currency),
        bid_id=reading(response.bid_id),
        destination=reading(response.destination),
        expires_in_s=reading(response.expires_in_s),
        minimum_duration_s=reading(response.minimum_duration_s),
        reason=reading(response.reason),
    )


def _read(reading: Reading | None, document: object, body: bytes) -> object:
    return None if reading is None else reading.value(document, body)


def _words(equals: Iterable[object]) -> frozenset[str] | None:
    return frozenset(form for value in equals for form in _text_forms(value)) or None


def _text_forms(value: object) -> tuple[str, ...]:
    """The texts that a value equals: as written, and for a whole number without its decimals."""
    text = text_of(value)
    if text is None:
        return ()
    if isinstance(value, Decimal) and value.adjusted() < _LONGEST_INTEGER and value % 1 == 0:
        return (text, str(int(value)))
    return (text.strip(),)


def _is_zero(amount: object) -> bool:
    text = text_of(amount)
    return text is not None and not text.strip().removeprefix("$").strip("0.")
