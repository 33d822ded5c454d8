"""The delivery profiles that every marketplace has: common ways to be pinged and posted to."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_RINGBA: Final = {
    "ping": {
        "format": "json",
        "headers": {"Accept": "application/json"},
        "body": {
            "CID": "{{ caller_id }}",
            "zipcode": "{{ fields.zip_code | truncate: 5 }}",
            "state": "{{ caller_state }}",
            "areacode": "{{ caller_area_code }}",
            "publisher": "{{ source }}",
            "exposeCallerId": "{{ fields.expose_caller_id | default: no }}",
            "sipOk": "yes",
        },
        "response": {
            "format": "json",
            "accepted": {"at": "bidAmount > `0` && !rejectReason", "equals": [True]},
            "amount": {"at": "bidAmount"},
            "bid_id": {"at": "bidId"},
            "destination": {"at": "sipAddress || phoneNumber"},
            "expires_in_s": {"at": "expireInSeconds"},
            "minimum_duration_s": {"at": "bidTerms[0].callMinDuration"},
            "reason": {"at": "rejectReason"},
        },
    },
}

_FORM: Final = {
    "ping": {
        "format": "form",
        "body": {
            "Mode": "ping",
            "Format": "JSON",
            "Return_Best_Price": "1",
            "Lead_Ping_ID": "{{ ping_id }}",
            "SRC": "{{ source }}",
            "Zip": "{{ fields.zip_code | truncate: 5 }}",
            "State": "{{ caller_state }}",
            "Origin_Phone_Area_Code": "{{ caller_area_code }}",
            "Minimum_Price": "{{ minimum_bid }}",
        },
        "response": {
            "format": "json",
            "accepted": {"at": "response.status", "equals": ["Matched"]},
            "amount": {"at": "response.price"},
            "bid_id": {"at": "response.lead_id"},
            "destination": {"at": "response.phone"},
            "reason": {"at": "response.error || response.reason"},
        },
    },
    "post": {
        "format": "form",
        "body": {
            "Mode": "post",
            "Format": "JSON",
            "Lead_ID": "{{ bid_id }}",
            "SRC": "{{ source }}",
            "Zip": "{{ fields.zip_code | truncate: 5 }}",
            "State": "{{ caller_state }}",
            "Origin_Phone": "{{ caller_id | digits }}",
            "Price": "{{ bid }}",
        },
        "response": {
            "format": "json",
            "accepted": {"at": "response.status", "equals": ["Matched"]},
            "destination": {"at": "response.phone"},
            "reason": {"at": "response.error || response.reason"},
        },
    },
}

_XML: Final = {
    "ping": {
        "format": "xml",
        "body": (
            "<bid_request><id>{{ ping_id }}</id><campaign>{{ campaign }}</campaign>"
            "<source>{{ source }}</source><zip>{{ fields.zip_code | truncate: 5 }}</zip>"
            "<state>{{ caller_state }}</state><area_code>{{ caller_area_code }}</area_code>"
            "<minimum>{{ minimum_bid }}</minimum></bid_request>"
        ),
        "response": {
            "format": "xml",
            "accepted": {"at": "string(/bid_response/status)", "equals": ["accepted"]},
            "amount": {"at": "string(/bid_response/amount)"},
            "bid_id": {"at": "string(/bid_response/id)"},
            "destination": {"at": "string(/bid_response/destination)"},
            "expires_in_s": {"at": "string(/bid_response/expires)"},
            "reason": {"at": "string(/bid_response/reason)"},
        },
    },
    "post": {
        "format": "xml",
        "body": (
            "<call><bid_id>{{ bid_id }}</bid_id><bid>{{ bid }}</bid>"
            "<caller_id>{{ caller_id }}</caller_id><source>{{ source }}</source>"
            "<zip>{{ fields.zip_code | truncate: 5 }}</zip></call>"
        ),
        "response": {
            "format": "xml",
            "accepted": {"at": "string(/call_response/status)", "equals": ["accepted"]},
            "destination": {"at": "string(/call_response/destination)"},
            "reason": {"at": "string(/call_response/reason)"},
        },
    },
}

BUILT_IN: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {"plain": {}, "ringba": _RINGBA, "form": _FORM, "xml": _XML}
)
"""By name. ``plain`` is the dialect of the contract, ``ringba`` bids without posts."""
