"""Array parameters in PostgreSQL's text form: ``$1::text::integer[]``.

asyncpg asks an abstract base class about every element of an array that it encodes, which costs
several times what making the text costs.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson


def text_columns(rows: Sequence[Sequence[Any]], texts: int, raw: int) -> list[Sequence[Any]]:
    """Rows turned into one array per column, for ``unnest``.

    The first ``texts`` columns as text, the ``raw`` ones after them, of bytes, as they are.
    """
    if not rows:
        return [*["{}"] * texts, *[()] * raw]
    columns = list(zip(*rows, strict=True))
    return [*map(array_text, columns[:texts]), *columns[texts:]]


def array_text(values: Sequence[object]) -> str:
    """Of strings, numbers, flags, instants and None. Raises TypeError for anything else."""
    text = orjson.dumps(values, default=_plain)[1:-1].decode()
    if "\\" in text:
        # JSON escapes more than an array does.
        text = ",".join(map(_element, values))
    return f"{{{text}}}"


def _element(value: object) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    message = f"no element of an array: {type(value).__name__}"
    raise TypeError(message)
