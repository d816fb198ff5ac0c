"""Loading image models before their first study comes: at the start, and once they are promoted."""

import threading

from sqlalchemy.exc import DBAPIError

from medqueue.errors import PackageError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.logs import get_logger
from schemas.result import ResultKind
from workers.inference.host import ModelHost
from workers.inference.reading import ImageModel

_LOOK_SECONDS = 1.0
"""Between two looks into the ledger, each one short query; the relay looks twice as often."""
_logger = get_logger(__name__)


class Warming:
    """Loads each released image model that a worker has not tried to load yet."""

    def __init__(self, ledger: Ledger, networks: ModelHost[ImageModel]) -> None:
        self._ledger = ledger
        self._networks = networks
        self._tried: set[tuple[str, str]] = set()

    def load(self) -> None:
        """Load what is released by now; a package that cannot be loaded is logged once."""
        with self._ledger.read() as connection:
            released = models.released(connection, ResultKind.IMAGE)
        for manifest in released:
            version = (manifest.name, manifest.version)
            if version in self._tried:
                continue
            self._tried.add(version)
            try:
                self._networks.get(manifest)
                _logger.info("model-loaded", model=manifest.name, version=manifest.version)
            except PackageError as error:
                # The others must serve; work for this one says the same in its failure.
                _logger.error("model-not-loaded", detail=error.detail)  # noqa: TRY400 - see above

    def follow(self, stop: threading.Event) -> None:
        """Load what is promoted, until told to stop. A ledger that is away is waited for."""
        while not stop.wait(_LOOK_SECONDS):
            try:
                self.load()
            except DBAPIError as error:
                _logger.warning("warming-interrupted", error=type(error).__name__)
