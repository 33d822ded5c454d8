"""A secret in a marketplace file: plain, named in the environment, kept from before, or sealed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from config.faults import mistake

KEPT: Mapping[str, object] = {"keep": True}
"""What stands for a secret in an export: apply keeps the one that is stored."""

SHOW_SECRETS = "show_secrets"
"""The key of a dump's context under which True leaves secrets as they were given."""

MAXIMUM_SECRET = 4096

OWN_PREFIX = "PINGPOST_"
"""What the names of our own variables begin with: no buyer is sent our keys and tokens."""

OWN_VARIABLE = "must not be one of the service's own settings (PINGPOST_...)"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SEALED = re.compile(r"v[0-9]{1,3}\.[A-Za-z0-9_\-]{1,20000}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FORMS = "text, {secret: text}, {env: NAME}, {keep: true} or {sealed: ...}"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """One secret; all None means ``{keep: true}``. Never shown by a repr, an error or a dump."""

    plain: str | None = None
    env: str | None = None
    sealed: str | None = None

    @property
    def kept(self) -> bool:
        """Whether this stands for the secret that is stored."""
        return self.plain is None and self.env is None and self.sealed is None

    def __repr__(self) -> str:
        if self.env is not None:
            return f"Secret(env={self.env})"
        return f"Secret({'keep' if self.kept else '***'})"

    __str__ = __repr__

    def serialised(self, info: SerializationInfo) -> object:
        """The form for a dump: as given where the context asks for that, else as exported."""
        shown = isinstance(info.context, Mapping) and info.context.get(SHOW_SECRETS) is True
        return self.as_given() if shown else self.exported()

    def as_given(self) -> object:
        """The form that ``read`` reads back."""
        if self.plain is not None:
            return {"secret": self.plain}
        return {"sealed": self.sealed} if self.sealed is not None else self.exported()

    def exported(self) -> dict[str, object]:
        """The form for an export: the variable's name, or ``{keep: true}``."""
        return {"env": self.env} if self.env is not None else dict(KEPT)

    @classmethod
    def read(cls, value: object) -> "Secret":
        """The secret behind a file's value. Raises a mistake that never repeats the value."""
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls(plain=_checked(value))
        if isinstance(value, Mapping) and len(value) == 1:
            return cls._referred(value)
        raise mistake(f"must be {_FORMS}")

    @classmethod
    def _referred(cls, value: Mapping[object, object]) -> "Secret":
        [(form, content)] = value.items()
        if form == "env":
            if isinstance(content, str) and _VARIABLE.fullmatch(content):
                return cls(env=content)
            raise mistake("must be the name of an environment variable", "env")
        if form == "secret":
            if isinstance(content, str) and fault_of_text(content) is None:
                return cls(plain=content)
            told = fault_of_text(content) if isinstance(content, str) else None
            raise mistake(told or "must be text", "secret")
        if form == "sealed":
            if isinstance(content, str) and _SEALED.fullmatch(content):
                return cls(sealed=content)
            raise mistake("is not a sealed secret: it must stand as it was exported", "sealed")
        if form == "keep":
            if content is True:
                return cls()
            raise mistake("must be true", "keep")
        raise mistake(f"must be {_FORMS}")

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: type, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.serialised, info_arg=True
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "writeOnly": True}, {"type": "object"}]}


def fault_of_text(text: str) -> str | None:
    """Why a text can't be used as a secret in a header, None when it can."""
    if not text:
        return "must not be empty"
    if len(text) > MAXIMUM_SECRET:
        return f"must have at most {MAXIMUM_SECRET} characters"
    return "must not contain control characters" if _CONTROL.search(text) else None


def _checked(text: str) -> str:
    wrong = fault_of_text(text)
    if wrong:
        raise mistake(wrong)
    return text


def is_own(variable: str) -> bool:
    """Whether it is a setting of the service, in any case of letters as settings are read."""
    return variable.upper().startswith(OWN_PREFIX)
