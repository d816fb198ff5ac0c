"""`medqueue models`: the registry - list, show, add, sign, verify, promote, roll back."""

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from medqueue.errors import NotFoundError, PackageError
from medqueue.ledger import models as registry
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.operate import registration, release
from medqueue.results.agreement import agreement_with_reports
from medqueue.settings import Settings, load_settings
from medqueue.storage import packages, signatures
from schemas.registration import RegisteredModel

COMMANDS_GROUP = "medqueue.model_commands"
_MONITORED = timedelta(days=366)
"""As far back as agreement with reports is shown."""

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Models(click.Group):
    """Commands that need the code of the models come by entry point, as the top ones do."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        extra = {entry.name for entry in entry_points(group=COMMANDS_GROUP)}
        return sorted({*super().list_commands(ctx), *extra})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entry in entry_points(group=COMMANDS_GROUP, name=cmd_name):
            loaded: click.Command = entry.load()
            return loaded
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Models)
def models() -> None:
    """List, add, verify, convert and release model versions.

    Example: medqueue models list
    """


@models.command("list")
@_as_json
def list_(*, as_json: bool) -> None:
    """List every version, and which one of each model new inputs go to.

    Example: medqueue models list --json
    """
    with _ledger(load_settings()) as ledger, ledger.read() as connection:
        found = registry.all_versions(connection)
    if as_json:
        click.echo(json.dumps([model.model_dump(mode="json") for model in found], indent=2))
    else:
        Console().print(_table(found))


@models.command()
@click.argument("name")
@_as_json
def show(*, name: str, as_json: bool) -> None:
    """Show a model's versions: what they take and are for, and how far reports agree with them.

    Example: medqueue models show cxr-pneumonia
    """
    with _ledger(load_settings()) as ledger, ledger.read() as connection:
        found = [m for m in registry.all_versions(connection) if m.manifest.name == name]
        since = datetime.now(UTC) - _MONITORED
        agreement = agreement_with_reports(connection, name, since=since)
    if not found:
        raise NotFoundError(f"no model is named {name}; see: medqueue models list")
    if as_json:
        click.echo(json.dumps([model.model_dump(mode="json") for model in found], indent=2))
        return
    for model in found:
        click.secho(f"{name} {model.manifest.version}", bold=True)
        for field, value in model.manifest.model_dump(mode="json", exclude={"labels"}).items():
            click.echo(f"  {field}: {value}")
        click.echo(f"  labels: {', '.join(label.name for label in model.manifest.labels)}")
    if agreement:
        click.secho("agreement with reports", bold=True)
    for month in agreement:
        share = f"{month.agreed} of {month.decided} ({month.agreed / month.decided:.0%})"
        click.echo(f"  {month.month}  {month.version}: {share}")


@models.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
def add(*, path: Path) -> None:
    """Verify a package folder, copy it into the data folder, and register its version.

    The first version of a name is released at once; a later one waits for `promote`.

    Example: medqueue models add ./my-model
    """
    settings = load_settings()
    with _ledger(settings) as ledger:
        manifest = registration.add(ledger, settings, path, now=datetime.now(UTC))
    click.echo(f"added {manifest.name} {manifest.version}")


@models.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="PEM file of your private Ed25519 key.",
)
def sign(*, path: Path, key: Path) -> None:
    """Sign a package folder, so that a site can tell that it is yours.

    Example: medqueue models sign ./my-model --key maker.pem
    """
    click.echo(f"signed; public key: {signatures.sign(path, key)}")


@models.command()
@_as_json
def verify(*, as_json: bool) -> None:
    """Compare every package with its digests and signature; exit with 1 if one is damaged.

    Example: medqueue models verify
    """
    settings = load_settings()
    checks = []
    added = registration.added_packages(settings)
    for folder in [*registration.installed_packages(), *added]:
        try:
            manifest = packages.verify(folder)
            if folder in added:
                registration.require_signature(settings, folder)
            checks.append({"package": str(folder), "model": manifest.name, "error": None})
        except PackageError as error:
            checks.append({"package": str(folder), "model": None, "error": error.detail})
    if as_json:
        click.echo(json.dumps(checks, indent=2))
    else:
        for check in checks:
            click.echo(
                f"{'FAIL' if check['error'] else 'ok':4}  {check['error'] or check['model']}"
            )
    sys.exit(1 if any(check["error"] for check in checks) else 0)


@models.command()
@click.argument("name")
@click.argument("version")
def promote(*, name: str, version: str) -> None:
    """Make a version the one that new inputs go to; running workers follow by themselves.

    It is loaded and runs its check set before.

    Example: medqueue models promote cxr-pneumonia 1.1.0
    """
    settings = load_settings()
    with _ledger(settings) as ledger:
        release.promote(
            ledger, settings, name, version, actor=getpass.getuser(), now=datetime.now(UTC)
        )
    click.echo(f"{name} {version} is released")


@models.command()
@click.argument("name")
def rollback(*, name: str) -> None:
    """Go back to the version that was released before; of a candidate, to none.

    Example: medqueue models rollback cxr-pneumonia
    """
    settings = load_settings()
    with _ledger(settings) as ledger:
        version = release.roll_back(
            ledger, settings, name, actor=getpass.getuser(), now=datetime.now(UTC)
        )
    click.echo(f"{name} {version} is released" if version else f"no version of {name} is released")


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = open_ledger(settings.ledger_url)
    try:
        schema.require_current(ledger)
        yield ledger
    finally:
        ledger.close()


def _table(found: list[RegisteredModel]) -> Table:
    table = Table(title="Models")
    for column in ("name", "version", "released", "kind", "for clinical use", "sha256"):
        table.add_column(column)
    for model in found:
        manifest = model.manifest
        table.add_row(
            manifest.name,
            manifest.version,
            "yes" if model.released else "shadow" if model.shadow else "",
            manifest.kind,
            "cleared" if manifest.cleared_for_clinical_use else "not for clinical use",
            manifest.sha256[:12],
        )
    return table
