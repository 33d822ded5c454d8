"""The handlers of ``/v1/voice-agents``: only where the deployment makes voice bots."""

from typing import Final

from aiohttp import web

from auction.ports import Clock
from auction.web.authentication import MAY_MANAGE, unbound
from auction.web.management.handlers import CurrentBox, ResourceHandlers
from auction.web.management.resources import Resource
from auction.web.problems import CallerMistakeError, ProblemKind
from auction.web.services import Tokens
from storage.database import Database

VOICE_BOTS_OFF: Final = ProblemKind(409, "voice-bots-off", "Voice bots are switched off here")


class VoiceAgentHandlers(ResourceHandlers):
    """As any other kind, but that agents are saved only where ``enabled`` says so."""

    def __init__(
        self,
        resource: Resource,
        database: Database,
        box: CurrentBox,
        tokens: Tokens,
        clock: Clock,
        *,
        enabled: bool,
    ) -> None:
        super().__init__(resource, database, box, tokens, clock)
        self._enabled = enabled

    async def create(self, request: web.Request) -> web.Response:
        """See ``ResourceHandlers``."""
        await self._check(request)
        return await super().create(request)

    async def replace(self, request: web.Request) -> web.Response:
        """See ``ResourceHandlers``."""
        await self._check(request)
        return await super().replace(request)

    async def patch(self, request: web.Request) -> web.Response:
        """See ``ResourceHandlers``."""
        await self._check(request)
        return await super().patch(request)

    async def resume(self, request: web.Request) -> web.Response:
        """See ``ResourceHandlers``."""
        await self._check(request)
        return await super().resume(request)

    async def _check(self, request: web.Request) -> None:
        """Raises CallerMistakeError: 401, 403, 409."""
        await unbound(request, self._tokens, MAY_MANAGE)
        if not self._enabled:
            raise CallerMistakeError(
                VOICE_BOTS_OFF, "Set PINGPOST_VOICE_BOTS=true where this deployment may have them."
            )
