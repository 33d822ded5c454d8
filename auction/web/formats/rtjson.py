"""``rtjson``: the document of Kamailio's rtjson module, with the routed destination only.

What it does not know it ignores, so the decision stands beside its own keys for ``jansson_get``.
"""

import orjson

from auction.web.formats.decision import Decision, Dial


def render(decision: Decision) -> bytes:
    """The document; ``routes`` is empty where there is nowhere to go.

    ``fr_inv_timer`` is how long it may ring, in milliseconds, for ``rtjson_update_branch``.
    """
    dial = decision.dial
    document = {
        "version": "1.0",
        "routing": "serial",
        "routes": [] if dial is None else [_route(dial)],
        **decision.values,
    }
    return orjson.dumps(document)


def _route(dial: Dial) -> dict[str, str | int]:
    return {"uri": dial.uri, "fr_inv_timer": dial.timeout_s * 1000}
