"""The tokens that the marketplace gives to its sources."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from config.marketplace import Source
from config.sealing import SecretUnavailableError
from config.secret_values import Secret
from storage.tokens import TokenGrant, hash_token

logger = logging.getLogger(__name__)

_SCOPES = frozenset({"read"})


def compile_source_tokens(
    sources: Iterable[Source], resolve: Callable[[Secret], str]
) -> Mapping[bytes, TokenGrant]:
    """What each source's token allows, by the token's hash: to see that source's calls.

    A token that two sources share is good for neither.
    """
    found: list[tuple[bytes, TokenGrant]] = []
    for source in sources:
        if source.token is None:
            continue
        try:
            text = resolve(source.token)
        except SecretUnavailableError as error:
            _tell(source.id, str(error))
            continue
        grant = TokenGrant(f"source:{source.id}", source.name, _SCOPES, source=source.id)
        found.append((hash_token(text), grant))
    times = Counter(key for key, _ in found)
    for key, grant in found:
        if times[key] > 1:
            _tell(grant.source or "", "another source has the same one")
    return {key: grant for key, grant in found if times[key] == 1}


def _tell(source: str, why: str) -> None:
    text = "The token of source %s is not good: %s"
    logger.warning(text, source, why, extra={"action": "source_token"})
