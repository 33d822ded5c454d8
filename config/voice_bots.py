"""Buyers of type voice_bot: nobody writes them, each voice agent makes exactly one."""

from collections.abc import Mapping, Sequence
from typing import Final

from config.plain_data import text_of

VOICE_BOT: Final = "voice_bot"

_Object = Mapping[str, object]

_TAKEN_OVER: Final = ("company", "enabled", "concurrency")
_OF_THE_OFFER: Final = ("priority", "weight")


def with_voice_bots(data: _Object) -> dict[str, object]:
    """The marketplace's plain data with one buyer per voice agent, after all other buyers.

    Those that agents made before are made anew, so that none outlives its agent. The data given is
    not changed; agents of the wrong shape are left to validation.
    """
    agents = data.get("voice_agents")
    made = [_buyer_of(each) for each in _objects(agents) if _is_whole(each)]
    kept = without_voice_bots(data)
    if not made:
        return kept
    buyers = kept.get("buyers")
    others = buyers if isinstance(buyers, list | tuple) else ()
    return {**kept, "buyers": [*others, *made]}


def without_voice_bots(data: _Object) -> dict[str, object]:
    """The plain data without the buyers that voice agents make."""
    buyers = data.get("buyers")
    if not isinstance(buyers, list | tuple) or not any(map(made_from_agent, buyers)):
        return dict(data)
    return {**data, "buyers": [each for each in buyers if not made_from_agent(each)]}


def made_from_agent(buyer: object) -> bool:
    """Whether a buyer was made from a voice agent."""
    return isinstance(buyer, Mapping) and buyer.get("voice_agent") is not None


def _buyer_of(agent: _Object) -> dict[str, object]:
    """The buyer has the agent's id, its one offer goes to the agent's SIP URL."""
    name, campaign = str(agent["id"]), str(agent["campaign"])
    destination = {"uri": agent["sip_url"]}
    offer = {"id": f"{name}-voice-bot"[:64], "campaign": campaign, "destination": destination}
    return {
        "id": name,
        "name": agent.get("name") or name,
        "type": VOICE_BOT,
        "voice_agent": name,
        **_given(agent, _TAKEN_OVER),
        "offers": [{**offer, **_given(agent, _OF_THE_OFFER)}],
    }


def _given(agent: _Object, keys: Sequence[str]) -> dict[str, object]:
    return {key: agent[key] for key in keys if agent.get(key) is not None}


def _is_whole(agent: _Object) -> bool:
    return all(text_of(agent.get(key)) for key in ("id", "campaign", "sip_url"))


def _objects(values: object) -> list[_Object]:
    listed = values if isinstance(values, list | tuple) else ()
    return [each for each in listed if isinstance(each, Mapping)]
