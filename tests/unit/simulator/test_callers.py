"""What counts as a caller given away."""

import pytest

from buyers.simulator.callers import carries_caller_id, national_digits

KNOWN = frozenset({national_digits("+18005550100")})


@pytest.mark.parametrize(
    "text",
    [
        b'{"cid":"+13105551234"}',
        b'{"cid":"13105551234"}',
        b'{"cid":3105551234}',
        b"cid=%2B13105551234&zip=90210",
        b"<cid>+442079460000</cid>",
    ],
)
def test_a_whole_number_gives_the_caller_away(text: bytes) -> None:
    assert carries_caller_id(text, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        b'{"area_code":"310","zip":"90210","minimum_bid":"35.00"}',
        b'{"dialed":"+18005550100"}',
        b'{"hash":"f83105551234a0c1"}',
        b'{"ping_id":"0f8fad5bd9cb469fa165708677289501"}',
        b'{"id":"6f1c9c1e-5e0b-4b56-8c13-555512345678"}',
        b'{"at":1795310000,"at_ms":1795310000123}',
        b"",
    ],
)
def test_other_digits_do_not(text: bytes) -> None:
    assert not carries_caller_id(text, KNOWN)
