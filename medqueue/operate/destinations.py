"""The destinations of results, as the settings name them."""

from medqueue.errors import ConfigurationError
from medqueue.settings import Settings
from schemas.destination import Destination, parse_destinations


def read_destinations(settings: Settings) -> tuple[Destination, ...]:
    """Return where results are to be sent.

    Raises:
        ConfigurationError: the setting is not in its form.
    """
    try:
        return parse_destinations(settings.destinations or "")
    except ValueError as error:
        raise ConfigurationError(
            f"MEDQUEUE_DESTINATIONS: {error}; give name=dicom://AE@host:port, "
            "name=dicomweb+https://host/path, name=mllp://host:port or "
            "name=webhook+https://host/path, "
            "with commas between them"
        ) from None
