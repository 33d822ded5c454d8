"""What the demo's buyers report of the calls they bought, and what they correct later."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from random import Random
from typing import Any, Final

PAYS_ON_REPORT: Final = "cobalt-auto"
"""The offer of marketplace.yaml that converts by its buyer's report alone."""

CORRECTED: Final = "acme-auto"
"""An offer of which some conversions turn out worth less."""

_WORTH_REPORTING_S = 30


def conversion_reports(records: Iterable[Mapping[str, Any]], seed: int) -> Iterator[dict[str, str]]:
    """The bodies of ``POST /v1/postbacks/conversion``; the same records and seed give the same."""
    random = Random(seed)  # noqa: S311 - to be repeatable, not unguessable
    for record in records:
        cdr = record["cdr"]
        if cdr["offer"] == PAYS_ON_REPORT and _talked(cdr):
            yield _report(cdr, "sale", amount=cdr["price"])
            if random.random() < 0.2:
                yield _report(cdr, "refund", status="withdrawn")
        elif cdr["offer"] == CORRECTED and cdr["converted"] and random.random() < 0.1:
            yield _report(cdr, "correction", amount=str(Decimal(cdr["price"]) - 5))


def _talked(cdr: Mapping[str, Any]) -> bool:
    return (cdr["connected_duration_s"] or 0) >= _WORTH_REPORTING_S


def _report(cdr: Mapping[str, Any], event: str, **more: str) -> dict[str, str]:
    return {"call_id": cdr["call_id"], "event_id": f"{cdr['call_id']}/{event}", **more}
