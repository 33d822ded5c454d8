"""Which keys an object of a model may have, for suggestions where one is misspelt."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.faults import Step

_Models = tuple[type[BaseModel], ...]


def keys_at(model: type[BaseModel], location: Sequence[Step]) -> list[str]:
    """The keys of the object that a pydantic error's location leads to, from ``model`` on."""
    found: _Models = (model,)
    for step in location:
        if isinstance(step, str):
            found = _below(found, step)
    return sorted({key for each in found for key, _ in _fields(each)})


def _below(models: _Models, step: str) -> _Models:
    """The models of a field of this name; pydantic also names the alternative that it took."""
    infos = [info for each in models for key, info in _fields(each) if key == step]
    if infos:
        return tuple(inner for info in infos for inner in _models_in(info.annotation))
    return tuple(each for each in models if _is_named(each, step)) or models


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        yield info.alias or name, info


def _is_named(model: type[BaseModel], tag: str) -> bool:
    annotations = [info.annotation for _, info in _fields(model)]
    tags = [get_args(each) for each in annotations if get_origin(each) is Literal]
    return any(tag in each for each in tags)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type there is
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
