"""Ids that are made: from names, stable, unique."""

from typing import Any

from config.identifiers import with_ids


def ids(items: Any) -> list[str]:
    return [item["id"] for item in items]


def test_ids_come_from_names() -> None:
    data = with_ids(
        {
            "campaigns": [{"name": "Auto insurance, US"}, {"name": "Ünï"}, {}],
            "buyers": [
                {"name": "Acme Inc.", "offers": [{"campaign": "solar"}, {"campaign": "solar"}]}
            ],
        }
    )
    assert data == {
        "campaigns": [
            {"id": "auto-insurance-us", "name": "Auto insurance, US"},
            {"id": "n", "name": "Ünï"},
            {"id": "campaign"},
        ],
        "buyers": [
            {
                "id": "acme-inc",
                "name": "Acme Inc.",
                "offers": [
                    {"id": "acme-inc-solar", "campaign": "solar"},
                    {"id": "acme-inc-solar-2", "campaign": "solar"},
                ],
            }
        ],
    }


def test_a_made_id_gives_way_to_one_that_was_given() -> None:
    data = with_ids({"campaigns": [{"name": "Solar"}, {"id": "solar"}]})
    assert ids(data["campaigns"]) == ["solar-2", "solar"]


def test_an_offers_id_is_unique_over_all_buyers() -> None:
    data: Any = with_ids(
        {
            "buyers": [
                {"id": "a", "offers": [{"campaign": "b"}]},
                {"id": "c", "offers": [{"id": "a-b", "campaign": "b"}]},
            ]
        }
    )
    assert [ids(buyer["offers"]) for buyer in data["buyers"]] == [["a-b-2"], ["a-b"]]


def test_webhooks_are_named_after_their_owner() -> None:
    data: Any = with_ids({"campaigns": [{"id": "Solar", "webhooks": [{}, {}]}]})
    assert ids(data["campaigns"][0]["webhooks"]) == ["solar-webhook", "solar-webhook-2"]


def test_the_same_file_gives_the_same_ids_and_is_not_changed() -> None:
    data = {"buyers": [{"name": "Acme", "offers": [{}]}]}
    assert with_ids(data) == with_ids(data)
    assert data == {"buyers": [{"name": "Acme", "offers": [{}]}]}


def test_other_shapes_pass_through() -> None:
    data = {"campaigns": 5, "buyers": [7, {"offers": "x", "name": 3}]}
    assert with_ids(data) == {
        "campaigns": 5,
        "buyers": [7, {"id": "buyer", "offers": "x", "name": 3}],
    }
