"""Stored calls and plans, as the domain knows them."""

import logging

import asyncpg

from auction.domain.call import Call
from auction.domain.plan import StoredPlan
from storage.plans import load_candidates
from storage.vault import CallerVault, Unsealed

logger = logging.getLogger(__name__)


def unsealed_call(row: asyncpg.Record, vault: CallerVault) -> Call:
    """A call as it came in, from a row of ``calls``.

    Raises SecretBoxError when it was sealed under another key.
    """
    unsealed = unsealed_row(row, vault)
    return Call(
        call_id=row["call_id"],
        campaign=row["named_campaign"],
        dialed_number=row["dialed_number"],
        caller=unsealed.caller,
        source=row["source"],
        fields=unsealed.fields,
        received_at=row["received_at"],
        timeout_ms=row["timeout_ms"],
        test=row["test"],
        switch=row["switch"],
    )


def unsealed_row(row: asyncpg.Record, vault: CallerVault) -> Unsealed:
    """What was sealed with a call, its fields joined by the tags of its lease.

    Raises SecretBoxError when it was sealed under another key.
    """
    unsealed = vault.open(row["sealed"], row["call_id"])
    if row["lent"] is None:
        return unsealed
    tags = vault.open_tags(row["lent"], row["lease"])
    return Unsealed(unsealed.caller, {**tags, **unsealed.fields})


def stored_plan(row: asyncpg.Record) -> StoredPlan | None:
    """A plan from a row of ``plans``, None when it can't be read."""
    try:
        candidates = load_candidates(row["candidates"])
    except Exception:
        # Written by another version, or damaged: the call is decided from the start.
        logger.exception(
            "A stored plan can't be read", extra={"action": "load_plan", "call_id": row["call_id"]}
        )
        return None
    return StoredPlan(candidates, row["position"], row["trace"], row["received_at"])
