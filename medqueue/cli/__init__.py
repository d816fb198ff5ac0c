"""The command `medqueue`: one group, whose commands load when they are called."""

import importlib
import sys
from importlib.metadata import entry_points

import click

from medqueue import __version__
from medqueue.errors import MedqueueError

_COMMANDS = {
    "audit": "medqueue.cli.audit:audit",
    "bench": "medqueue.cli.bench:bench",
    "db": "medqueue.cli.db:db",
    "deliveries": "medqueue.cli.deliveries:deliveries",
    "demo": "medqueue.cli.up:demo",
    "doctor": "medqueue.cli.doctor:doctor",
    "failures": "medqueue.cli.failures:failures",
    "fetch": "medqueue.cli.fetch:fetch",
    "models": "medqueue.cli.models:models",
    "results": "medqueue.cli.results:results",
    "send": "medqueue.cli.send:send",
    "serve": "medqueue.cli.serve:serve",
    "status": "medqueue.cli.status:status",
    "trainings": "medqueue.cli.trainings:trainings",
    "up": "medqueue.cli.up:up",
    "worker": "medqueue.cli.serve:worker",
}
"""Loaded by name, so that `medqueue --help` does not wait for Celery, pydicom or torch."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        extra = {entry.name for entry in entry_points(group="medqueue.commands")}
        return sorted(_COMMANDS.keys() | extra)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name in _COMMANDS:
            module, _, name = _COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        for entry in entry_points(group="medqueue.commands", name=cmd_name):
            loaded: click.Command = entry.load()
            return loaded
        return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="medqueue")
def medqueue() -> None:
    """The queue between a PACS and its AI models: studies and reports in, results out.

    Example: medqueue demo
    """


def main() -> None:
    """Run the command line; an error of ours is one clear line, not a traceback."""
    try:
        medqueue(prog_name="medqueue")
    except MedqueueError as error:
        click.secho(f"medqueue: {error.detail}", fg="red", err=True)
        sys.exit(1)
