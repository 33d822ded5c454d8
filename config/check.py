"""Checking a marketplace: every fault and every warning at once, each with its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from config.advice import advice_on, own_variables
from config.delivery_profiles import expanded
from config.faults import ConfigError, Fault, faults_of
from config.identifiers import with_ids
from config.json_file import load_json
from config.known_keys import keys_at
from config.marketplace import Marketplace, to_plain
from config.quality_assurance import without_conversions
from config.references import reference_faults
from config.voice_bots import with_voice_bots
from config.yaml_file import decode, load_yaml
from config.yaml_lines import with_lines


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found; ``data`` and ``marketplace`` are None where there are faults.

    ``data`` is the marketplace as JSON types, every id made, secrets as given: to be sealed.
    """

    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    data: Mapping[str, object] | None = field(default=None, repr=False)
    marketplace: Marketplace | None = None

    def usable(self) -> tuple[Mapping[str, object], Marketplace]:
        """The data and its marketplace. Raises ConfigError with every fault."""
        if self.data is None or self.marketplace is None:
            raise ConfigError(self.faults)
        return self.data, self.marketplace


def check_file(path: Path, environ: Mapping[str, str]) -> CheckResult:
    """Check a file: JSON when its name ends in ``.json``, else YAML. Its content never raises."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return CheckResult((Fault((), f"can't be read: {error.strerror}"),), ())
    return check_text(content, environ, is_json=path.suffix.lower() == ".json")


def check_text(content: bytes, environ: Mapping[str, str], *, is_json: bool = False) -> CheckResult:
    """Check the content of a file; faults of YAML carry their lines."""
    try:
        text = decode(content)
        data = load_json(text) if is_json else load_yaml(text)
    except ConfigError as error:
        return CheckResult(error.faults, ())
    result = check(data, environ)
    if is_json:
        return result
    placed = with_lines(text, [*result.faults, *result.warnings]) if _any(result) else []
    count = len(result.faults)
    return replace(result, faults=tuple(placed[:count]), warnings=tuple(placed[count:]))


def check(data: object, environ: Mapping[str, str]) -> CheckResult:
    """Check plain data, as loaded by ``yaml_file`` or ``json_file``.

    What comes out has a buyer for every voice agent, and no conversion rules where none are kept.
    """
    if not isinstance(data, Mapping):
        return CheckResult((Fault((), "must be a mapping with campaigns, sources and buyers"),), ())
    named, dropped = without_conversions(with_voice_bots(with_ids(data)))
    marketplace: Marketplace | None = None
    faults: list[Fault] = []
    try:
        marketplace = Marketplace.model_validate(named)
    except ValidationError as error:
        faults += faults_of(error, expanded(named), partial(keys_at, Marketplace))
    faults += reference_faults(named)
    faults += own_variables(named)
    warnings = (*dropped, *advice_on(named, environ))
    if faults or marketplace is None:
        return CheckResult(tuple(faults), warnings)
    return CheckResult((), warnings, to_plain(marketplace, as_given=True), marketplace)


def _any(result: CheckResult) -> bool:
    return bool(result.faults or result.warnings)
