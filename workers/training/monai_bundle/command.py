"""The command `medqueue models import-bundle`: reading, importing, printing, no more."""

from datetime import UTC, datetime
from pathlib import Path

import click

from medqueue.errors import ConfigurationError


@click.command(
    epilog="Example: medqueue models import-bundle ./chest_bundle --output out --with import.toml"
)
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the new package; it must be empty or not there.",
)
@click.option(
    "--with",
    "answers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML with what the bundle does not say; what is missing is asked for by name.",
)
def import_bundle(bundle: Path, output: Path, answers: Path | None) -> None:
    """Turn a MONAI BUNDLE for image classification into a package, without running any of it.

    Taken are DenseNet, ResNet and ViT of MONAI for two-dimensional grey images, and ONNX. What
    comes out is checked by medqueue models add.
    """
    from workers.training.monai_bundle.importing import import_bundle as import_

    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"{output}: is not empty; name a new folder for the package")
    manifest = import_(bundle, output, answers, datetime.now(UTC).date())
    click.echo(f"written to {output}: {manifest.name} {manifest.version}")
