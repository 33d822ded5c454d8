"""Addresses in dial strings of Asterisk and FreeSWITCH: one address means one place there."""

import re
from typing import Final
from urllib.parse import quote

_PLAIN: Final = "@:.;=?+-_~*!()/%#[]"
"""What means nothing in either, with letters and digits. ``%``: what is escaped stays escaped."""

_LEADING_BRACKET: Final = re.compile(r"^\[")
_ENTERPRISE: Final = ":_:"
"""Separates destinations that FreeSWITCH calls apart from each other."""


def in_dial_string(uri: str) -> str:
    """The address with ``& , | ' " \\ $ { } < > ^``, white space and the like percent-encoded.

    Asterisk calls another place after each ``&``, FreeSWITCH after ``,`` and ``|``, and reads
    variables in brackets: a buyer's address must be one address.
    """
    text = quote(uri, safe=_PLAIN).replace(_ENTERPRISE, ":%5F:")
    return _LEADING_BRACKET.sub("%5B", text)
