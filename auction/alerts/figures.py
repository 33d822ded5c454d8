"""What happened to the subjects of rules, out of the figures that reports are made of."""

from collections.abc import Mapping
from typing import Final

from auction.alerts.windows import Window
from auction.domain.alert_terms import EVERYTHING, Subject, SubjectKind
from auction.domain.report_figures import Figures
from auction.domain.report_question import By
from storage.database import Database
from storage.report_figures import figures

_BY: Final = {
    SubjectKind.MARKETPLACE: By.CAMPAIGN,
    SubjectKind.CAMPAIGN: By.CAMPAIGN,
    SubjectKind.BUYER: By.BUYER,
    SubjectKind.OFFER: By.OFFER,
    SubjectKind.SOURCE: By.SOURCE,
}


async def read_window(database: Database, window: Window) -> Mapping[Subject, Figures]:
    """The figures of each subject of the window's kind; who is absent has none.

    Calls of an offer and of a buyer are those that it got. Raises StorageUnavailableError.
    """
    if window.until <= window.since:
        return {}
    found = await figures(
        database, window.since, window.until, _BY[window.kind], detailed=window.detailed
    )
    if window.kind is SubjectKind.MARKETPLACE:
        everything = Figures()
        for each in found.values():
            everything.add(each)
        return {EVERYTHING: everything}
    if window.kind in {SubjectKind.OFFER, SubjectKind.BUYER}:
        for each in found.values():
            each.calls = each.won
    return {Subject(window.kind, name): each for name, each in found.items()}
