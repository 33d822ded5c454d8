"""The acceptance file loads as it is, and comes back from an export the same."""

from decimal import Decimal

from config.check import check_file, check_text
from config.endpoints import ApiKeyAuth, BearerAuth
from config.marketplace import export_yaml, read_marketplace, to_plain
from config.secret_values import Secret
from tests.unit.config.samples import ACCEPTANCE, SET, acceptance


def test_the_acceptance_file_has_no_fault() -> None:
    result = check_file(ACCEPTANCE, SET)
    assert result.faults == ()
    assert result.warnings == ()


def test_the_acceptance_file_is_read_as_it_says() -> None:
    _, marketplace = check_file(ACCEPTANCE, SET).usable()
    acme, beacon, cobalt = (buyer.offers[0] for buyer in marketplace.buyers)
    assert acme.ping_post is not None
    assert acme.ping_post.minimum_bid == Decimal("35.00")
    assert acme.ping_post.ping.auth == BearerAuth(type="bearer", token=Secret(env="ACME_TOKEN"))
    assert acme.ping_post.ping.caller_id == "withheld"
    assert acme.required_fields == ("vertical", "zip_code")
    assert beacon.ping_post is not None
    assert isinstance(beacon.ping_post.ping.auth, ApiKeyAuth)
    assert beacon.ping_post.ping.caller_id == "hashed"
    assert beacon.ping_post.post is not None
    assert beacon.ping_post.post.caller_id == "plain"
    assert beacon.ping_post.post.format == "form"
    assert cobalt.static_price == Decimal("18.00")
    assert cobalt.destination is not None
    assert cobalt.destination.send_digits == "1"


def test_an_export_reads_back_as_the_same_marketplace() -> None:
    _, marketplace = check_file(ACCEPTANCE, SET).usable()
    again = check_text(export_yaml(marketplace).encode(), SET)
    assert again.faults == ()
    assert again.marketplace == marketplace
    assert export_yaml(again.usable()[1]) == export_yaml(marketplace)


def test_an_export_says_nothing_that_the_file_did_not_say() -> None:
    plain = to_plain(read_marketplace(acceptance()))
    expected = acceptance()
    assert plain.keys() == expected.keys()
    assert plain["buyers"] == expected["buyers"]


def test_the_checked_data_is_what_storage_can_keep_as_json() -> None:
    data, marketplace = check_file(ACCEPTANCE, SET).usable()
    assert read_marketplace(data) == marketplace
