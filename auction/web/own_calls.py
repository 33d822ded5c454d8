"""Calls that a token may report on: one that is bound to a source, those of that source alone."""

from typing import Final

from auction.domain.ids import CallId
from auction.web import problems
from auction.web.problems import CallerMistakeError
from auction.web.services import Grant, Records

UNKNOWN_CALL: Final = "There is no call with this call_id."


async def refuse_other_sources(grant: Grant, call_id: CallId, records: Records) -> None:
    """Other sources' calls do not exist. Raises CallerMistakeError (404).

    Tokens of switches are bound to no source and cost no look.
    """
    if grant.source is None:
        return
    record = await records.get_call(call_id)
    if record is not None and record.call.source != grant.source:
        raise CallerMistakeError(problems.NOT_FOUND, UNKNOWN_CALL)
