"""Writes docs/reference/commands.md from the commands themselves: python tests/commands_page.py."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from medqueue.cli import medqueue

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"

HEAD = """\
# Commands

Every command has `-h` and `--help` with an example. The settings come from the environment or a
TOML file: [settings](settings.md). Results go to stdout, messages and errors to stderr. This page
is written by `python tests/commands_page.py`; a test compares it with the commands.

## Exit codes

- **0**: done. For `up`, `serve` and `worker`: stopped in order by SIGTERM or Ctrl-C.
- **1**: not done, or something is wrong. A line that begins with `medqueue:` names the cure; the
  codes behind such lines stand under [errors](errors.md).
- **2**: the command line is wrong: an unknown option, a missing argument, a path that is not there.
- **3**, `status` only: something is stuck.
- **75**, `worker` only: it had stopped taking messages and ended itself, to be started again, as
  `up` or the restart policy of a container does.
"""


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Context]]:
    """Yield every command below a group, and itself unless it is the root."""
    context = click.Context(command, info_name=path)
    if path != "medqueue":
        yield path, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from walk(child, f"{path} {name}")


def render() -> str:
    """Return the whole page."""
    return HEAD + "".join(_section(path, context) for path, context in walk(medqueue, "medqueue"))


def _section(path: str, context: click.Context) -> str:
    command = context.command
    title = "##" if path.count(" ") == 1 else "###"
    help_text = "\n\n".join(filter(None, [inspect.cleandoc(command.help or ""), command.epilog]))
    paragraphs = [_paragraph(text) for text in help_text.split("\n\n")]
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"\n{title} `{usage}`", *paragraphs]
    options = [one for one in command.params if isinstance(one, click.Option)]
    rows = [record for one in options if (record := one.get_help_record(context))]
    if rows:
        cells = (f"| `{_cell(names)}` | {_cell(text)} |" for names, text in rows)
        parts.append("\n".join(["| option | |", "| --- | --- |", *cells]))
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    words = " ".join(text.split())
    example = words.removeprefix("Example: ")
    return words if example == words else f"```sh\n{example}\n```"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
