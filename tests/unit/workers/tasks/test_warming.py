"""Warming: what is promoted is loaded once, and what cannot be loaded is told once."""

import threading

from builders import a_text_model, after, an_image_model, register
from medqueue.errors import PackageError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from schemas.manifest import Manifest
from waiting import wait_until
from workers.inference.host import ModelHost
from workers.inference.reading import ImageModel
from workers.tasks.warming import Warming


class Shelf:
    """Notes what is loaded, and has no package of some names."""

    def __init__(self, *missing: str) -> None:
        self.loaded: list[str] = []
        self._missing = missing

    def load(self, manifest: Manifest) -> ImageModel:
        self.loaded.append(f"{manifest.name} {manifest.version}")
        if manifest.name in self._missing:
            raise PackageError(f"{manifest.name} is not here")
        return object()  # type: ignore[return-value]


def promote(ledger: Ledger, version: str) -> None:
    register(ledger, an_image_model("chest", version))
    with ledger.write() as connection:
        models.release(connection, "chest", version, actor="test", now=after(1))


def test_each_released_image_model_is_tried_once(ledger: Ledger) -> None:
    shelf = Shelf("breast")
    warming = Warming(ledger, ModelHost(shelf.load))
    register(ledger, an_image_model("breast"), an_image_model("chest"), a_text_model())

    warming.load()
    warming.load()
    assert shelf.loaded == ["breast 1.0.0", "chest 1.0.0"]

    promote(ledger, "1.1.0")
    warming.load()
    assert shelf.loaded[2:] == ["chest 1.1.0"]


def test_it_follows_releases_until_it_is_stopped(ledger: Ledger) -> None:
    shelf, stop = Shelf(), threading.Event()
    thread = threading.Thread(target=Warming(ledger, ModelHost(shelf.load)).follow, args=(stop,))
    thread.start()
    try:
        promote(ledger, "2.0.0")
        wait_until(lambda: "chest 2.0.0" in shelf.loaded, 20)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
