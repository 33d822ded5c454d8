"""Answers as documents, and compiled expressions that find one value in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from urllib.parse import parse_qsl

import jmespath
import re2  # type: ignore[import-untyped] # ships no types
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter
from lxml import etree

from buyers.exact_json import MalformedAnswerError, exactly, parse_json
from config.expressions import quiet_options

Find = Callable[[object], object]
"""Finds a value in a document; None where there is none. Never raises."""

_KEPT_EXPRESSIONS = 4096
_MAXIMUM_FORM_FIELDS = 1000
_XML = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


class ExpressionFaultError(ValueError):
    """An expression that can't be compiled."""


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How answers of one format are parsed and searched.

    ``parse`` raises MalformedAnswerError, ``compile`` ExpressionFaultError.
    """

    parse: Callable[[bytes], object]
    compile: Callable[[str], Find]


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one value of an answer is."""

    find: Find

    def value(self, document: object, body: bytes) -> object:
        """The value as sent: text, bool, int or Decimal; None for null, blank text and nothing
        found.

        ``body`` is what ``document`` was parsed from. A list of one is that one.
        """
        found = self._found(document)
        return exactly(found, body, self._found) if isinstance(found, float) else found

    def _found(self, document: object) -> object:
        found = self.find(document)
        if isinstance(found, list) and len(found) < 2:
            found = found[0] if found else None
        return None if isinstance(found, str) and not found.strip() else found


def parse_form(body: bytes) -> object:
    """A urlencoded answer as a mapping of texts. Raises MalformedAnswerError: too many fields."""
    text = body.decode(errors="replace").strip()
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAXIMUM_FORM_FIELDS))
    except ValueError:
        raise MalformedAnswerError("not a form") from None


def parse_xml(body: bytes) -> object:
    """The root element. Raises MalformedAnswerError: not XML, or a document type declared."""
    try:
        root = etree.fromstring(body, _XML)
    except (etree.XMLSyntaxError, ValueError):
        raise MalformedAnswerError("not XML") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr] # the stubs lack it
        raise MalformedAnswerError("XML with a document type declaration")
    return root


def parse_text(body: bytes) -> object:
    """The answer as text; bytes that are not UTF-8 are replaced."""
    return body.decode(errors="replace")


@lru_cache(_KEPT_EXPRESSIONS)
def compile_jmespath(expression: str) -> Find:
    """A JMESPath; mere names joined by dots are walked directly. Raises ExpressionFaultError."""
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError):
        raise ExpressionFaultError("not a JMESPath expression") from None
    tree = compiled.parsed
    names = _plain_path(tree)
    if names is not None:
        return _walker(names)
    visit = TreeInterpreter().visit

    def find(document: object) -> object:
        try:
            return visit(tree, document)
        except (JMESPathError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
            return None

    return find


@lru_cache(_KEPT_EXPRESSIONS)
def compile_xpath(expression: str) -> Find:
    """An XPath; of several nodes the first counts. Raises ExpressionFaultError."""
    try:
        compiled = etree.XPath(expression, regexp=False, smart_strings=False)
    except (etree.XPathError, ValueError):
        raise ExpressionFaultError("not an XPath expression") from None

    def find(document: object) -> object:
        if not etree.iselement(document):
            return None
        try:
            return _node_value(compiled(document))
        except (etree.XPathError, ValueError):
            return None

    return find


@lru_cache(_KEPT_EXPRESSIONS)
def compile_regex(expression: str) -> Find:
    """A regular expression in linear time; its group is the value. Raises ExpressionFaultError."""
    try:
        compiled = re2.compile(expression, quiet_options())
    except re2.error:
        raise ExpressionFaultError("not a regular expression") from None
    group = 1 if compiled.groups else 0

    def find(document: object) -> object:
        match = compiled.search(document)
        return match.group(group) if match else None

    return find


def _plain_path(node: Mapping[str, object]) -> tuple[str, ...] | None:
    """The names of ``a.b.c``, None for anything richer."""
    if node["type"] == "field":
        return (str(node["value"]),)
    children = node["children"]
    if node["type"] != "subexpression" or not isinstance(children, list):
        return None
    paths = [_plain_path(child) for child in children]
    if None in paths:
        return None
    return tuple(name for path in paths if path for name in path)


def _walker(names: tuple[str, ...]) -> Find:
    def find(document: object) -> object:
        for name in names:
            if not isinstance(document, dict):
                return None
            document = document.get(name)
        return document

    return find


def _node_value(found: object) -> object:
    if isinstance(found, list):
        found = found[0] if found else None
    if isinstance(found, float):
        return Decimal(repr(found)) if found - found == 0 else None
    if isinstance(found, str):
        return found.strip()
    if etree.iselement(found):
        return "".join(str(text) for text in found.itertext()).strip()
    return found if isinstance(found, bool) else None


FORMATS: Mapping[str, AnswerFormat] = {
    "json": AnswerFormat(parse_json, compile_jmespath),
    "form": AnswerFormat(parse_form, compile_jmespath),
    "xml": AnswerFormat(parse_xml, compile_xpath),
    "text": AnswerFormat(parse_text, compile_regex),
}
