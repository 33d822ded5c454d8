"""The commands, from what they say of themselves."""

from collections.abc import Iterator, Sequence

import click

from auction.cli import main
from reference.markdown import code, one_line, page, table

_INTRO = """\
`pingpost COMMAND --help` says the same. `--config FILE` names a TOML file with
[settings](settings.md); commands that need the database find it by them."""


def commands_page() -> str:
    """The page, a section for each command that is not hidden."""
    with click.Context(main, info_name="pingpost") as context:
        sections = [_section(each, command) for each, command in _commands(context)]
    return page("Reference: commands", "`auction/cli/`", _INTRO, *sections)


def _commands(context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    group = context.command
    assert isinstance(group, click.Group), "only groups are walked"
    for name in sorted(group.commands):
        command = group.commands[name]
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(inner)
        elif not command.hidden:
            yield inner, command


def _section(context: click.Context, command: click.Command) -> str:
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    paragraphs = (command.help or "").split("\n\n")
    about = "\n\n".join(one_line(each) for each in paragraphs)
    options = table(("option", "meaning"), _options(command))
    return f"## {path}\n\n{code(usage)}\n\n{about}\n\n{options}"


def _options(command: click.Command) -> Iterator[Sequence[str]]:
    for each in command.params:
        if isinstance(each, click.Option) and not each.hidden:
            kind = "" if each.is_flag else f" {each.make_metavar(click.Context(command))}"
            required = " Required." if each.required else ""
            yield code(f"{', '.join(each.opts)}{kind}"), f"{one_line(each.help or '')}{required}"
