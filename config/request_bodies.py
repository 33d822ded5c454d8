"""Whether a body template makes a document of its format once its tokens are filled in."""

import json

from lxml import etree

from config.template_syntax import Literal, Template, TemplateError, parse_template

_FILLED = "0"
"""Stands for a token's value: fits as a number, in a string and between two tags."""


def body_fault(body: object, request_format: str | None) -> str | None:
    """Why a body can't be sent in a format, None when it can or when the format is not known."""
    if request_format == "xml":
        return _xml_fault(body)
    if request_format == "form":
        return _form_fault(body)
    if request_format == "json":
        return _json_fault(body)
    return None


def _xml_fault(body: object) -> str | None:
    if not isinstance(body, str):
        return "must be text that is the whole XML document, as format is xml"
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        etree.fromstring(_filled(body).encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return "is not well-formed XML once its tokens are filled in"
    return None


def _form_fault(body: object) -> str | None:
    if isinstance(body, str):
        return None
    if isinstance(body, dict) and all(_is_flat(value) for value in body.values()):
        return None
    return "must be a flat mapping of names to values, as format is form"


def _is_flat(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, dict | list) for item in items)


def _json_fault(body: object) -> str | None:
    if not isinstance(body, str):
        return None if isinstance(body, dict | list) else "must be a mapping, a list or text"
    text = body.lstrip()
    if not (text.startswith("[") or (text.startswith("{") and not text.startswith("{{"))):
        return None
    try:
        json.loads(_filled(body))
    except (ValueError, RecursionError):
        return "is not JSON once its tokens are filled in"
    return None


def _filled(body: str) -> str:
    try:
        template = parse_template(body, any_token=True)
    except TemplateError:
        template = Template(())
    return "".join(p.text if isinstance(p, Literal) else _FILLED for p in template.parts)
