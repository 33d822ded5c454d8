"""The expressions that read a buyer's answer, compiled once to see that they can be."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jmespath
import jmespath.exceptions
import re2  # type: ignore[import-untyped] # google-re2 ships no types
from jmespath.functions import Functions
from lxml import etree

MAXIMUM_EXPRESSION = 1000


class ExpressionError(ValueError):
    """An expression can't be compiled; the message says why."""


@lru_cache(maxsize=512)
def check_expression(reply_format: str, expression: str) -> None:
    """See that ``expression`` can be compiled for answers in ``reply_format``.

    JMESPath for json and form, XPath for xml, a regular expression with one group for text.

    Raises ExpressionError.
    """
    _CHECKS[reply_format](expression)


def _check_jmespath(expression: str) -> None:
    try:
        parsed = jmespath.compile(expression).parsed
    except (jmespath.exceptions.JMESPathError, ValueError, RecursionError) as error:
        raise ExpressionError(f"is not a JMESPath expression: {_first_line(error)}") from error
    unknown = sorted(_functions(parsed) - Functions.FUNCTION_TABLE.keys())
    if unknown:
        raise ExpressionError(f"calls `{unknown[0]}`, which JMESPath does not have")


def _functions(node: Mapping[str, Any]) -> set[str]:
    names = {str(node["value"])} if node["type"] == "function_expression" else set()
    return names.union(*(_functions(child) for child in node["children"]))


def _check_xpath(expression: str) -> None:
    try:
        etree.XPath(expression)(etree.Element("answer"))
    except (etree.XPathError, ValueError) as error:
        raise ExpressionError(f"is not an XPath expression: {_first_line(error)}") from error


def _check_regex(expression: str) -> None:
    try:
        pattern = re2.compile(expression, quiet_options())
    except re2.error as error:
        raise ExpressionError(f"is not a regular expression: {_first_line(error)}") from error
    if pattern.groups != 1:
        raise ExpressionError(
            f"must have exactly one group in parentheses around the value, it has {pattern.groups}"
        )


def quiet_options() -> re2.Options:
    """Options for compiling an operator's expression: bounded memory, nothing printed."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    return options


def _first_line(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    told = raw.decode(errors="replace") if isinstance(raw, bytes) else str(error)
    return (told or type(error).__name__).splitlines()[0][:200]


_CHECKS = {
    "json": _check_jmespath,
    "form": _check_jmespath,
    "xml": _check_xpath,
    "text": _check_regex,
}
