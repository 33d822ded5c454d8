"""The settings, from the class that reads them."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

from config.meanings import meaning_of
from config.settings import PREFIX, Settings
from reference.markdown import code, page, table
from reference.schemas import Schema, mapping, range_of, type_of

_INTRO = """\
Each is a variable, a key (the name in small letters) of the TOML file given by `--config`, or a
flag of `pingpost serve`; flags win over variables, variables over the file. More on each:
[running the service](../operations.md#settings)."""

_HEADS = ("variable", "key", "type", "default", "range", "meaning")
_MACHINES_OWN = frozenset({"data_dir"})
"""Settings whose default depends on the machine and the user."""


def settings_page() -> str:
    """The page, a row for each setting."""
    schema = Settings.model_json_schema()
    return page("Reference: settings", "`config/settings.py`", _INTRO, table(_HEADS, _rows(schema)))


def _rows(schema: Schema) -> Iterator[Sequence[str]]:
    parts = mapping(schema.get("$defs"))

    def link(name: str) -> str:
        return type_of(mapping(parts[name]), link)

    for name, value in mapping(schema["properties"]).items():
        one = mapping(value)
        variable = code(f"{PREFIX}{name}".upper())
        kind = "networks" if _is_networks(name) else type_of(one, link)
        meaning = meaning_of(Settings, name) or ""
        yield variable, code(name), kind, _default(name), range_of(one), meaning


def _is_networks(name: str) -> bool:
    return IPv4Network.__name__ in str(Settings.model_fields[name].annotation)


def _default(name: str) -> str:
    default = Settings.model_fields[name].get_default()
    if name in _MACHINES_OWN or default in (None, ()):
        return ""
    return code(str(default).lower() if isinstance(default, bool) else str(default))
