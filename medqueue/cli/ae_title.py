"""The AE title as an option of a command."""

import click

from schemas.application_entity import is_ae_title


def ae_title(_context: click.Context, parameter: click.Parameter, title: str | None) -> str | None:
    """Check a title that was given; a callback for click."""
    if title is None:
        return None
    title = title.strip()
    if not is_ae_title(title):
        raise click.BadParameter(
            "an AE title has 1 to 16 printable ASCII characters, and no backslash", param=parameter
        )
    return title
