"""The webhooks of a marketplace, compiled: from events to a request that is ready to be sent."""

import hmac
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from auction.webhooks.bodies import CONTENT_TYPES, Render, Told, compile_render
from auction.webhooks.templates import Values, compile_header
from config.alerts import ALERT_HOOK, ALERT_OWNER, ESCALATION_HOOK, AlertWebhook
from config.credentials import SentValue
from config.marketplace import Marketplace
from config.sealing import SecretUnavailableError, resolve_secret
from config.secret_box import SecretBox
from config.secret_values import Secret
from config.template_syntax import TemplateError
from config.webhooks import EVENT_ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Webhook

logger = logging.getLogger(__name__)

TOLD_UNUSABLE: Final = 19
"""How many webhooks that can't be used are named in the log; one line more counts the rest."""

USER_AGENT: Final = "pingpost"

Key = tuple[str, str]
"""An owner (``campaign:<id>``, ``buyer:<id>``, ``alert:<id>``) and one of its webhooks' ids."""


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One POST, complete."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook. ``every_s`` None: each event by itself, else at most ``most`` together."""

    url: str = field(repr=False)
    render: Render = field(repr=False)
    content_type: str
    headers: tuple[tuple[str, Callable[[Values], str]], ...] = field(repr=False)
    key: bytes | None = field(repr=False)
    every_s: float | None = None
    most: int = 1

    def request(self, events: Sequence[Told], unix_seconds: int) -> HookRequest:
        """The request that tells these events, signed at ``unix_seconds`` where it is signed."""
        body = self.render(events)
        first = events[0]
        headers = {
            "User-Agent": USER_AGENT,
            "Content-Type": self.content_type,
            **self._own(first.values()),
            EVENT_ID_HEADER: first.event_id,
            TIMESTAMP_HEADER: str(unix_seconds),
        }
        if self.key is not None:
            headers[SIGNATURE_HEADER] = sign(self.key, unix_seconds, body)
        return HookRequest(self.url, headers, body)

    def _own(self, values: Values) -> dict[str, str]:
        rendered = {name: fill(values) for name, fill in self.headers}
        return {_canonical(name): value for name, value in rendered.items() if value}


@dataclass(frozen=True, slots=True)
class Webhooks:
    """All webhooks of one revision; ``unusable`` says why some can't be told anything."""

    usable: Mapping[Key, Hook] = field(default_factory=dict)
    unusable: Mapping[Key, str] = field(default_factory=dict)


def sign(key: bytes, unix_seconds: int, body: bytes) -> str:
    """``sha256=<hex HMAC-SHA-256 of timestamp + "." + body>``."""
    return f"sha256={hmac.digest(key, b'%d.%b' % (unix_seconds, body), 'sha256').hex()}"


def compile_webhooks(
    marketplace: Marketplace, environ: Mapping[str, str], box: SecretBox | None
) -> Webhooks:
    """Every webhook of a marketplace; one that can't be used is told in the log, and waits."""

    def resolve(secret: Secret) -> str:
        return resolve_secret(secret, box, environ)

    usable: dict[Key, Hook] = {}
    unusable: dict[Key, str] = {}
    for key, webhook in _webhooks(marketplace):
        try:
            usable[key] = _compile(webhook, resolve)
        except (SecretUnavailableError, TemplateError) as error:
            unusable[key] = str(error)
        except Exception as error:  # noqa: BLE001 - one webhook's bug must not keep others from working
            unusable[key] = f"it can't be compiled ({type(error).__name__})"
    _tell(unusable)
    return Webhooks(usable, unusable)


def _webhooks(marketplace: Marketplace) -> Iterator[tuple[Key, Webhook | AlertWebhook]]:
    for campaign in marketplace.campaigns:
        for webhook in campaign.webhooks:
            yield (f"campaign:{campaign.id}", webhook.id), webhook
    for buyer in marketplace.buyers:
        for webhook in buyer.webhooks:
            yield (f"buyer:{buyer.id}", webhook.id), webhook
    for alert in marketplace.alerts:
        owner = f"{ALERT_OWNER}{alert.id}"
        if alert.webhook is not None:
            yield (owner, ALERT_HOOK), alert.webhook
        if alert.escalation is not None:
            yield (owner, ESCALATION_HOOK), alert.escalation.webhook


def _compile(webhook: Webhook | AlertWebhook, resolve: Callable[[Secret], str]) -> Hook:
    batch = webhook.batch if isinstance(webhook, Webhook) else None
    return Hook(
        url=webhook.url,
        render=compile_render(webhook.format, webhook.body, batched=batch is not None),
        content_type=CONTENT_TYPES[webhook.format],
        headers=tuple(
            (name, _compile_header(text, resolve)) for name, text in webhook.headers.items()
        ),
        key=None if webhook.secret is None else resolve(webhook.secret).encode(),
        every_s=None if batch is None else float(batch.every_s),
        most=1 if batch is None else batch.max,
    )


def _compile_header(text: SentValue, resolve: Callable[[Secret], str]) -> Callable[[Values], str]:
    if isinstance(text, str):
        return compile_header(text)
    plain = resolve(text)
    return lambda _: plain


def _canonical(name: str) -> str:
    """Our own spelling of a header that we set too, so that it replaces ours."""
    return {"user-agent": "User-Agent", "content-type": "Content-Type"}.get(name.lower(), name)


def _tell(unusable: Mapping[Key, str]) -> None:
    for (owner, webhook), why in islice(unusable.items(), TOLD_UNUSABLE):
        text = "Webhook %s of %s can't be used, its events wait: %s"
        logger.warning(text, webhook, owner, why, extra={"action": "unusable_webhook"})
    if len(unusable) > TOLD_UNUSABLE:
        more = len(unusable) - TOLD_UNUSABLE
        logger.warning("%d more webhooks can't be used", more, extra={"action": "unusable_webhook"})
