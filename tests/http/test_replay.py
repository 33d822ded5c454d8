"""``pingpost replay`` on calls that the real service has decided among simulated buyers."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson

from buyers.simulator.script import load_script
from buyers.simulator.server import SimulatedBuyers
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

FIXTURES = Path(__file__).parent.parent / "fixtures"
SECRETS = {"ACME_TOKEN": "acme-secret-token", "BEACON_KEY": "beacon-secret-key"}
CALLER = "+13105551234"
SAME = "The same ranking, the same winner and price"


async def _pingpost(service: ServiceProcess, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auction", *arguments, "--data-dir", str(service.data_dir)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def a_file(folder: Path, buyers: SimulatedBuyers, minimum_bid: str = "35.00") -> Path:
    """The acceptance marketplace with Acme's minimum bid at this."""
    text = (FIXTURES / "marketplace.yaml").read_text()
    text = text.replace(":9101/", f":{buyers.port('acme')}/")
    text = text.replace(":9102/", f":{buyers.port('beacon')}/")
    path = folder / "marketplace.yaml"
    path.write_text(text.replace('minimum_bid: "35.00"', f'minimum_bid: "{minimum_bid}"'))
    return path


async def _route(switch: Switch, service: ServiceProcess, call_id: str) -> dict[str, Any]:
    return await switch.route(
        service,
        call_id=call_id,
        dialed_number="+18005550100",
        caller_id=CALLER,
        source="pub-17",
        fields={"vertical": "auto_insurance", "zip_code": "90210"},
        timeout_ms=1900,
    )


async def test_recorded_calls_are_decided_again_as_they_were(tmp_path: Path) -> None:
    script = load_script(FIXTURES / "buyers.yaml", SECRETS)
    async with (
        SimulatedBuyers(script, free_ports=True) as buyers,
        a_service(
            tmp_path / "data",
            *("--marketplace", str(a_file(tmp_path, buyers))),
            environment=SECRETS,
        ) as service,
        a_switch() as switch,
    ):
        decided = {"bid": await _route(switch, service, "bid")}
        buyers.change("acme", post={"behaviours": {"reject": 1}})
        decided["refused"] = await _route(switch, service, "refused")
        buyers.change("beacon", ping={"behaviours": {"hang": 1}})
        decided["static"] = await _route(switch, service, "static")
        offers = {call_id: answer["offer"] for call_id, answer in decided.items()}
        assert offers == {"bid": "acme-auto", "refused": "beacon-auto", "static": "cobalt-auto"}

        # The record is judged by the terms that it was decided under.
        code, _, errors = await _pingpost(service, "apply", str(a_file(tmp_path, buyers, "53.00")))
        assert code == 0, errors
        for call_id, answer in decided.items():
            code, output, errors = await _pingpost(service, "replay", call_id)
            assert (code, SAME in output) == (0, True), output + errors
            price = f"{answer['offer']} ({answer['routed_by']}) at {answer['price']} USD"
            assert f"recorded: {price}" in output
            assert f"again:    {price}" in output
            assert CALLER[2:] not in output

        await _check_what_if(service, decided["refused"]["price"])
        code, _, errors = await _pingpost(service, "replay", "nobody")
        assert (code, "there is no call 'nobody'" in errors) == (2, True)
        await service.stop()
        code, output, errors = await _pingpost(service, "replay", "bid")
        assert (code, SAME in output) == (0, True), output + errors


async def _check_what_if(service: ServiceProcess, beacons_bid: str) -> None:
    """Under other terms the call goes elsewhere, as far as the record can tell."""
    arguments = ("replay", "bid", "--json", "--minimum-bid", "acme-auto=52.01")
    code, output, errors = await _pingpost(service, *arguments)
    assert code == 0, errors
    document = orjson.loads(output)
    assert (document["same"], document["recorded"]["offer"]) == (False, "acme-auto")
    assert document["replayed"]["offer"] == "beacon-auto"
    outcomes = {each["offer"]: each["replayed"]["outcome"] for each in document["offers"]}
    assert (outcomes["acme-auto"], outcomes["beacon-auto"]) == ("below_minimum", "won")

    code, output, errors = await _pingpost(
        service, "replay", "refused", "--timeout", "beacon-auto=1"
    )
    assert code == 0, errors
    assert "again:    cobalt-auto (static) at 18.00 USD; acme-auto" in output
    assert f"recorded: beacon-auto (auction) at {beacons_bid} USD" in output

    code, output, errors = await _pingpost(
        service, "replay", "static", "--timeout", "beacon-auto=900"
    )
    assert code == 0, errors
    assert "no answer was recorded" in " ".join(output.split())
