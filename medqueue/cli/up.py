"""`medqueue up` and `medqueue demo`: the whole system on one machine."""

import sys

import click

from medqueue.logs import configure_logs
from medqueue.settings import load_settings


@click.command()
def up() -> None:
    """Run the whole system in the foreground until SIGTERM or Ctrl-C.

    Prints one line `ready URL` when every door answers. Each process has its log in the folder
    `logs` of the data folder.

    Example: MEDQUEUE_DATA_DIR=/srv/medqueue medqueue up
    """
    from medqueue.operate import ports, system

    settings = load_settings()
    configure_logs("up", settings.log_level)
    url = ports.base_url(settings, settings.http_port)
    system.run(settings, lambda: click.echo(f"ready {url}/"))


@click.command()
@click.option("--keep", is_flag=True, help="Leave the system running, and say how to stop it.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def demo(*, keep: bool, as_json: bool) -> None:
    """Start everything in a temporary folder, push studies and texts through it, show the results.

    Example: medqueue demo
    """
    from medqueue.operate.demo import run_demo

    sys.exit(0 if run_demo(keep=keep, as_json=as_json) else 1)
