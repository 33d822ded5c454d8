"""Every key of the marketplace file says what it means, and nothing else is said."""

from collections.abc import Iterator

from config.marketplace import Marketplace
from config.meanings import known, meaning_of
from config.settings import Settings
from config.values import Model


def models() -> Iterator[type[Model]]:
    waiting: list[type[Model]] = [Model]
    while waiting:
        model = waiting.pop()
        yield model
        waiting += model.__subclasses__()


def keys(model: type[Model]) -> set[str]:
    return {info.alias or name for name, info in model.model_fields.items()}


def test_every_key_of_the_schema_has_a_meaning() -> None:
    schema = Marketplace.model_json_schema(by_alias=True)
    parts = {"Marketplace": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, value in part.get("properties", {}).items()
        if "description" not in value
    ]
    assert silent == [], "say what they mean in config/meanings.toml"


def test_nothing_is_said_of_keys_that_are_not_there() -> None:
    there: dict[str, set[str]] = {}
    for model in models():
        there.setdefault(model.__name__, set()).update(keys(model))
    there["Settings"] = set(Settings.model_fields)
    there["Model"] = {key for found in there.values() for key in found}
    gone = [
        f"{name}.{key}"
        for name, said in known().items()
        for key in said
        if key not in there.get(name, set())
    ]
    assert gone == []


def test_a_models_own_word_comes_before_the_shared_one() -> None:
    class Beacon(Model):
        """Of no marketplace."""

        name: str = ""
        light: str = ""

    assert meaning_of(Beacon, "name") == "For people."
    assert meaning_of(Beacon, "light") is None
    assert meaning_of(Marketplace, "numbers") != known()["Model"]["numbers"]
