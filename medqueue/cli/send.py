"""`medqueue send`: push DICOM files or folders by C-STORE."""

import json
import sys
from pathlib import Path

import click

from medqueue.cli.ae_title import ae_title
from medqueue.cli.transfer_bar import transfer_bar
from medqueue.operate.sender import CALLING_AE, SendSummary, send_files
from medqueue.settings import load_settings

_SHOWN_FAILURES = 50
"""So many are listed for a reader; `--json` lists all."""


@click.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH...",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the receiver listens.")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port. [default: our own door's]")
@click.option("--called", callback=ae_title, help="Its AE title. [default: our own door's]")
@click.option(
    "--calling", callback=ae_title, default=CALLING_AE, show_default=True, help="Our AE title."
)
@click.option("--urgent", is_flag=True, help="Send with priority HIGH: overtakes routine work.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def send(
    *,
    paths: tuple[Path, ...],
    host: str,
    port: int | None,
    called: str | None,
    calling: str,
    urgent: bool,
    as_json: bool,
) -> None:
    """Push DICOM files or folders to a receiver by C-STORE, as they lie.

    Exits with 1 if any object was refused or could not be sent.

    Example: medqueue send ~/studies/chest --port 11112 --called MEDQUEUE
    """
    settings = load_settings()
    with transfer_bar("sending", silent=as_json) as on_progress:
        summary = send_files(
            paths,
            host=host,
            port=port or settings.dimse_port,
            called=called or settings.ae_title,
            calling=calling,
            urgent=urgent,
            on_progress=on_progress,
        )
    _print_json(summary) if as_json else _print(summary)
    sys.exit(1 if summary.failed else 0)


def _print_json(summary: SendSummary) -> None:
    failed = [
        {"path": str(file.path), "status": file.status, "reason": file.reason}
        for file in summary.failed
    ]
    click.echo(
        json.dumps({"files": len(summary.files), "accepted": summary.accepted, "failed": failed})
    )


def _print(summary: SendSummary) -> None:
    for file in summary.failed[:_SHOWN_FAILURES]:
        click.echo(f"not sent: {file.path}: {file.reason}", err=True)
    unlisted = len(summary.failed) - _SHOWN_FAILURES
    if unlisted > 0:
        click.echo(f"... and {unlisted} more; --json lists all", err=True)
    click.echo(f"{summary.accepted} of {len(summary.files)} accepted, {len(summary.failed)} not")
