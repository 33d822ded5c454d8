"""What an end-to-end run did and compared, for people: a file a test in ``e2e-results/``."""

from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "e2e-results"


@dataclass(slots=True)
class Report:
    """The facts and comparisons of one test, in the order in which they were made."""

    name: str
    facts: list[tuple[str, object]] = field(default_factory=list)
    compared: list[tuple[str, object, object]] = field(default_factory=list)

    def fact(self, what: str, value: object) -> None:
        """Note a figure that is compared with nothing."""
        self.facts.append((what, value))

    def equal(self, what: str, wanted: object, seen: object) -> None:
        """Note both, and raise AssertionError unless they are equal."""
        self.compared.append((what, wanted, seen))
        assert seen == wanted, f"{what}: wanted {wanted!r}, seen {seen!r}"

    def write(self, outcome: str) -> Path:
        """Write it as Markdown; ``outcome``: how the test ended."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.name}.md"
        path.write_text("\n".join(self._lines(outcome)), encoding="utf-8")
        return path

    def _lines(self, outcome: str) -> list[str]:
        facts = [f"- {what}: {value}" for what, value in self.facts]
        rows = [
            f"| {what} | {wanted} | {seen} | {'yes' if wanted == seen else '**no**'} |"
            for what, wanted, seen in self.compared
        ]
        table = ["| compared | wanted | seen | equal |", "|---|---|---|---|", *rows]
        return [f"# {self.name}: {outcome}", "", *facts, "", *(table if rows else []), ""]
