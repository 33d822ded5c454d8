"""The schemas of the OpenAPI document, from the models."""

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from auction.web.management.resources import RESOURCES, Resource
from auction.web.openapi.managed import new_schema_name, schema_name

REFERENCE: Final = "#/components/schemas/{model}"

_NO_CONTROLS: Final = r"^\P{Cc}*$"
_NO_CONTROLS_PLAIN: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_KEYWORDS: Final = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}

_BOUNDS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})

Name = tuple[type[BaseModel], JsonSchemaMode]


class Schemas:
    """The named schemas, and what each model is called."""

    def __init__(self, models: Iterable[Name]) -> None:
        wanted: list[Name] = [*models, *((each.model, "validation") for each in RESOURCES)]
        self._references, made = models_json_schema(
            list(dict.fromkeys(wanted)), by_alias=True, ref_template=REFERENCE
        )
        named = {name: _plain(schema) for name, schema in made["$defs"].items()}
        for resource in RESOURCES:
            whole = _as_resource(resource, named[schema_name(resource)])
            named[schema_name(resource)] = _with_told(resource, whole)
            named[new_schema_name(resource)] = _without_id(whole)
        self.named: Mapping[str, object] = dict(sorted(named.items()))

    def of(self, name: Name) -> Mapping[str, object]:
        """The reference to a model's schema."""
        return self._references[name]

    def query(self, model: type[BaseModel]) -> Mapping[str, object]:
        """The schema of a model whose fields are query parameters."""
        reference = str(self._references[model, "validation"]["$ref"])
        schema = self.named[reference.rpartition("/")[2]]
        assert isinstance(schema, dict), "it was made of a model"
        return schema


def _required(schema: Mapping[str, object]) -> list[str]:
    required = schema.get("required", [])
    assert isinstance(required, list), "required keys are a list"
    return required


def _as_resource(resource: Resource, schema: object) -> dict[str, object]:
    """An object's schema as the API has it: with its owner, without what is nested in a file."""
    assert isinstance(schema, dict), "a model's schema is an object"
    given = schema["properties"]
    own = {key: each for key, each in given.items() if key not in resource.nested}
    if resource.parent is None:
        return {**schema, "properties": own}
    identifier = own.pop("id")
    owner = {**identifier, "title": resource.parent.title()}
    return {
        **schema,
        "properties": {"id": identifier, resource.parent: owner, **own},
        "required": [*_required(schema), resource.parent],
    }


def _with_told(resource: Resource, schema: dict[str, object]) -> dict[str, object]:
    """An object as it is answered: with what its change has done besides."""
    properties = schema["properties"]
    assert isinstance(properties, dict), "a model has properties"
    told = {
        key: {"type": "array", "items": {"type": "object"}, "readOnly": True, "description": text}
        for key, text in resource.told.items()
    }
    return {**schema, "properties": {**properties, **told}}


def _without_id(schema: Mapping[str, object]) -> dict[str, object]:
    """An object that may lack its id."""
    properties = schema["properties"]
    assert isinstance(properties, dict), "a model has properties"
    identifier = {"anyOf": [properties["id"], {"type": "null"}]}
    return {
        **schema,
        "properties": {**properties, "id": identifier},
        "required": [key for key in _required(schema) if key != "id"],
    }


def _plain(schema: object) -> object:
    """A schema in words that every reader knows: plain patterns, bounds that are numbers."""
    if isinstance(schema, Mapping):
        named = ((_KEYWORDS.get(key, _plain_key(key)), value) for key, value in schema.items())
        return {
            key: float(value) if key in _BOUNDS and isinstance(value, str) else _plain(value)
            for key, value in named
        }
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    return _NO_CONTROLS_PLAIN if schema == _NO_CONTROLS else schema


def _plain_key(key: str) -> str:
    return _NO_CONTROLS_PLAIN if key == _NO_CONTROLS else key
