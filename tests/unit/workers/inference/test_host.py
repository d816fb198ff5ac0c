"""Models in memory: loaded once, and none that is there waits for one that is loading."""

import threading
from concurrent.futures import ThreadPoolExecutor

from builders import an_image_model
from schemas.manifest import Manifest
from workers.inference.host import ModelHost

SECONDS = 20


def test_a_loaded_model_answers_while_another_is_loading() -> None:
    loading, go_on = threading.Event(), threading.Event()

    def load(manifest: Manifest) -> str:
        if manifest.version == "2.0.0":
            loading.set()
            assert go_on.wait(SECONDS)
        return manifest.version

    host = ModelHost(load)
    released, shadow = an_image_model(), an_image_model(version="2.0.0")
    host.get(released)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(host.get, shadow)
        assert loading.wait(SECONDS)
        try:
            assert pool.submit(host.get, released).result(SECONDS) == "1.0.0"
        finally:
            go_on.set()
        assert slow.result(SECONDS) == "2.0.0"


def test_each_version_is_loaded_once() -> None:
    loads: list[str] = []
    host = ModelHost(lambda manifest: loads.append(manifest.version))
    for version in ("1.0.0", "2.0.0", "1.0.0"):
        host.get(an_image_model(version=version))
    assert loads == ["1.0.0", "2.0.0"]
