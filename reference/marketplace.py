"""The marketplace file, from the models that read it."""

from collections.abc import Iterator, Sequence

from config.marketplace import Marketplace
from reference.markdown import anchor, one_line, page, table
from reference.schemas import HEADS, Link, Schema, mapping, named, rows, type_of

_INTRO = """\
Every key of the file and of the management API's objects. By example: [the marketplace
file](../marketplace.md). A key without a default may be left out. Lists have at most 10,000
entries; ids are 1 to 64 letters, digits or any of `_ . : -`; amounts have at most four decimals;
a secret is text, or `{env: NAME}`."""


def marketplace_page() -> str:
    """The page, the file first and then each of its parts in the order in which they appear."""
    top = Marketplace.model_json_schema(by_alias=True)
    parts = {"Marketplace": top, **mapping(top["$defs"])}
    objects = {name for name, part in parts.items() if "properties" in mapping(part)}
    order = [name for name in _in_order("Marketplace", parts) if name in objects]

    def link(name: str) -> str:
        part = mapping(parts[name])
        if name in objects:
            return f"[{name}](#{anchor(name)})"
        return "anything" if name == "JsonValue" else type_of(part, link)

    sections = (_section(name, mapping(parts[name]), link) for name in order)
    return page("Reference: the marketplace file", "`config/`", _INTRO, *sections)


def _section(name: str, schema: Schema, link: Link) -> str:
    about = one_line(str(schema.get("description", "")).partition("\n\n")[0])
    return f"## {name}\n\n{about}\n\n{table(HEADS, map(_with_made_id, rows(schema, link)))}"


def _with_made_id(row: Sequence[str]) -> Sequence[str]:
    """An id is required of an object, and made for one that is written without."""
    key, kind, default, *rest = row
    return (key, kind, "made" if (key, default) == ("`id`", "required") else default, *rest)


def _in_order(name: str, parts: Schema) -> Iterator[str]:
    waiting, seen = [name], {name}
    while waiting:
        current = waiting.pop(0)
        yield current
        found = [each for each in _references(parts[current]) if each not in seen]
        seen.update(found)
        waiting += dict.fromkeys(found)


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield named(str(value))
            elif key != "$defs":
                yield from _references(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)
