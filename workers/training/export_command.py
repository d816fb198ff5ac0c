"""The command `medqueue models export`: reading, converting, printing, no more."""

from pathlib import Path

import click

from medqueue.errors import ConfigurationError


@click.command(epilog="Example: medqueue models export cxr-pneumonia --output out --int8")
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the new package; it must be empty or not there.",
)
@click.option("--int8", is_flag=True, help="Quantise weights and activations to 8 bits.")
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Labelled images, as for medqueue evaluate: the accuracy must not fall on them.",
)
def export(name: str, output: Path, int8: bool, data: Path | None) -> None:
    """Convert NAME (a bundled image model, or the folder of a package) to ONNX, or refuse it.

    The converted model must agree with the original on the check set, to its tolerance in float
    and to 0.05 in int8 with the same decisions, and lose no more than 0.005 of its accuracy on
    labelled images.
    """
    from workers.models.package import bundled_packages, load_package
    from workers.preprocess.pixels import normalise
    from workers.preprocess.tabular import with_rows
    from workers.training.export import export as convert
    from workers.training.measure import measure

    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"{output}: is not empty; name a new folder for the package")
    folders = {folder.name: folder for folder in bundled_packages()}
    package = load_package(folders.get(name, Path(name)))
    labelled = None
    preparation = package.manifest.preparation
    if data is not None and preparation is not None:
        measured = measure(package, data, positive_class=None, config=None)
        if measured.pixels is not None:
            images = normalise(measured.pixels, preparation)
            if measured.features is not None:
                images = with_rows(images, measured.features)
            labelled = images, measured.targets
    click.echo(f"written to {output}: {convert(package, output, int8=int8, labelled=labelled)}")
