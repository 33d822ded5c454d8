"""Small XML documents. Whatever text is put in is text in the end."""

import re
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as Tree

_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


def element(
    name: str, attributes: Mapping[str, str | int] | None = None, *children: Tree.Element | str
) -> Tree.Element:
    """An element; text comes before all children."""
    made = Tree.Element(name, {key: _text(value) for key, value in (attributes or {}).items()})
    for child in children:
        if isinstance(child, str):
            made.text = _text(child)
        else:
            made.append(child)
    return made


def document(root: Tree.Element) -> bytes:
    """The whole document in UTF-8."""
    written: bytes = Tree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _text(value: str | int) -> str:
    return _NO_CHARACTER.sub("", str(value))
