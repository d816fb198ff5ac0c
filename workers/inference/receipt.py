"""What a worker writes on the receipt of its results: the model, and where and by what it ran."""

import json
import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from medqueue import __version__
from schemas.manifest import Engine, Manifest
from schemas.receipt import Receipt, digest_of
from schemas.result import ResultKind

_LIBRARIES = {
    ResultKind.IMAGE: ("imagecodecs", "numpy", "pillow", "pydicom", "pylibjpeg-openjpeg"),
    ResultKind.TEXT: (),
}
_PREPARING = {"preparation", "tokenization", "table"}


def receipt_of(manifest: Manifest, input_digest: str) -> Receipt:
    """Return the receipt of a result that this process has derived."""
    text = manifest.model_dump_json(exclude_defaults=True)
    return _of_model(text).model_copy(update={"input": input_digest})


@lru_cache(maxsize=64)
def _of_model(text: str) -> Receipt:
    """Return all but the digest of the input: the same for every result of the process."""
    manifest = Manifest.model_validate_json(text)
    content = json.loads(text)
    engine, device, threads = _engine(manifest)
    return Receipt(
        input="",
        preparation=digest_of({name: content.get(name) for name in _PREPARING}),
        weights=manifest.sha256,
        settings=digest_of(content),
        medqueue=__version__,
        engine=engine,
        libraries={name: version(name) for name in _LIBRARIES[manifest.kind]},
        device=device,
        threads=threads,
    )


def _engine(manifest: Manifest) -> tuple[str, str, int | None]:
    """Return engine, device and threads."""
    if manifest.engine not in (Engine.TORCH, Engine.ONNX):
        return manifest.engine.value, "cpu", None
    import torch  # only where a network has loaded it already

    processor = f"cpu {_processor()} {torch.backends.cpu.get_cpu_capability()}"
    if manifest.engine is Engine.ONNX:
        return f"onnxruntime {version('onnxruntime')}", processor, torch.get_num_threads()
    engine = f"torch {torch.__version__}"
    if manifest.kind is ResultKind.IMAGE and torch.cuda.is_available():
        return engine, f"cuda {torch.cuda.get_device_name()}", torch.get_num_threads()
    return engine, processor, torch.get_num_threads()


def _processor() -> str:
    """Return the model of the processor: kernels are chosen by it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
