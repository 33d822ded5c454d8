"""What the demo's buyers report."""

from typing import Any

from auction.demo.buyer_office import CORRECTED, PAYS_ON_REPORT, conversion_reports


def a_record(number: int, offer: str, connected_s: float | None, **cdr: Any) -> dict[str, Any]:
    values = {"call_id": f"c{number}", "offer": offer, "price": "40.00", "converted": True}
    return {"cdr": {**values, "connected_duration_s": connected_s, **cdr}}


def test_long_enough_talks_are_reported_as_sales_and_some_of_them_refunded() -> None:
    records = [a_record(number, PAYS_ON_REPORT, 60) for number in range(50)]
    reports = list(conversion_reports(records, 7))
    assert sum(report["event_id"].endswith("/sale") for report in reports) == 50
    assert {report["amount"] for report in reports if "amount" in report} == {"40.00"}
    assert 0 < sum(report.get("status") == "withdrawn" for report in reports) < 25
    assert reports == list(conversion_reports(records, 7))


def test_short_talks_and_other_offers_are_not_reported() -> None:
    records = [
        a_record(1, PAYS_ON_REPORT, 29.9),
        a_record(2, PAYS_ON_REPORT, None),
        a_record(3, "falcon-direct", 200),
        a_record(4, CORRECTED, 200, converted=False),
    ]
    assert list(conversion_reports(records, 7)) == []


def test_some_conversions_turn_out_worth_less() -> None:
    reports = list(conversion_reports([a_record(n, CORRECTED, 90) for n in range(100)], 7))
    assert 0 < len(reports) < 30
    assert {report["amount"] for report in reports} == {"35.00"}
