"""Pages of documentation as what can be tried: fenced blocks, their directives, headings, links."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
COMMANDS = "sh"
"""The language of blocks that are run."""

_FENCE = re.compile(r"( *)(`{3,})([A-Za-z]*)\s*$")
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_HEADING = re.compile(r"#{1,6} +(.+?)\s*$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")
_COMMENT_OF_COMMAND = re.compile(r"(^|\s)#.*")
_DIRECTIVE = re.compile(
    r"\s*(run by|exits|before|again|varies|service|database|part of):?\s(.*?)\s*", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; ``follows``: nothing stands between it and the block before."""

    page: Path
    line: int
    language: str
    text: str
    directives: dict[str, str]
    follows: bool

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{_name(self.page)}:{self.line}"

    @property
    def runner(self) -> str | None:
        """The file that runs it in the page's stead, from the repository's top."""
        told = self.directives.get("run by")
        return told.partition(",")[0] if told is not None else None

    def lines(self) -> list[str]:
        """Its commands one by one, without their comments; each must stand on one line."""
        bare = (_COMMENT_OF_COMMAND.sub("", line).strip() for line in self.text.splitlines())
        return [line for line in bare if line]


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @cached_property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return self.path.read_text(encoding="utf-8").splitlines()

    @cached_property
    def blocks(self) -> list[Block]:
        """Its fenced blocks in order."""
        return list(_blocks(self.path, self.lines))

    @cached_property
    def service(self) -> str | None:
        """The marketplace file of the service that the page's commands take for granted."""
        return self._told("service")

    @cached_property
    def database(self) -> str | None:
        """The variable with the URL of the empty database that the page takes for granted."""
        return self._told("database")

    def _told(self, wanted: str) -> str | None:
        bare = "\n".join(_CODE.sub("", line) for line in self.lines)
        comments = _COMMENT.finditer(bare)
        found = dict(filter(None, (_directive(comment[1]) for comment in comments)))
        return found.get(wanted)

    @property
    def name(self) -> str:
        """Its path from the repository's top."""
        return _name(self.path)

    def commands(self) -> Iterator[tuple[Block, Block | None]]:
        """The blocks that are run with their page, each with the block that comes next."""
        for block, after in zip_longest(self.blocks, self.blocks[1:]):
            if block.language == COMMANDS and block.runner is None:
                yield block, after

    def anchors(self) -> set[str]:
        """What a link to a heading of this page may name."""
        titles = (_HEADING.fullmatch(line) for line in self._prose())
        return {anchor(title[1]) for title in titles if title}

    def links(self) -> Iterator[str]:
        """Where its links lead, as they are written."""
        for line in self._prose():
            yield from _LINK.findall(_CODE.sub("", line))

    def _prose(self) -> Iterator[str]:
        inside = False
        for line in self.lines:
            if _FENCE.fullmatch(line):
                inside = not inside
            elif not inside:
                yield line


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def anchor(title: str) -> str:
    """A heading's anchor, as common Markdown renderers make it."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)).lower()
    return kept.replace(" ", "-")


def all_pages() -> list[Page]:
    """README and every page under ``docs`` and ``deploy``."""
    below = (path for folder in ("docs", "deploy") for path in (ROOT / folder).rglob("*.md"))
    return [Page(path) for path in [ROOT / "README.md", *sorted(below)]]


def blocks_run_by(runner: str | Path) -> list[Block]:
    """The blocks of all pages that say ``run by`` this file, which is to run every one of them."""
    name = _name(Path(runner))
    return [block for page in all_pages() for block in page.blocks if block.runner == name]


def _blocks(path: Path, lines: Sequence[str]) -> Iterator[Block]:
    start, between = None, list[str]()
    seen_one = False
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.fullmatch(line)
        if start is None and fence:
            start = (number, fence)
        elif start is not None and fence and fence[2] == start[1][2] and not fence[3]:
            text = dedent("\n".join(lines[start[0] : number - 1]))
            said = "\n".join(between)
            bare = not _COMMENT.sub("", said).strip()
            yield Block(path, start[0], start[1][3], text, _directives(said), seen_one and bare)
            start, between, seen_one = None, [], True
        elif start is None:
            between.append(line)
    if start is not None:
        message = f"{path}:{start[0]}: the block is never closed"
        raise ValueError(message)


def _directives(said: str) -> dict[str, str]:
    """Those of the comments that stand directly above a block."""
    found: dict[str, str] = {}
    end = len(said.rstrip())
    for comment in reversed(list(_COMMENT.finditer(said))):
        if said[comment.end() : end].strip():
            break
        directive = _directive(comment[1])
        if directive:
            found[directive[0]] = directive[1]
        end = comment.start()
    return found


def _directive(comment: str) -> tuple[str, str] | None:
    match = _DIRECTIVE.fullmatch(comment)
    return (match[1], match[2]) if match else None
