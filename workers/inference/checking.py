"""Whether a package does on this machine what its maker says: it loads, and its check set agrees.

A package from outside is not believed before that, so it is tried in a process apart, with a limit
on memory and a deadline: a model that never ends or takes all memory costs its own refusal.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medqueue.errors import ModelError, PackageError
from schemas.manifest import CheckSet, Engine
from schemas.result import ResultKind
from workers.models.agreement import parse_mapping
from workers.models.check_set import parse_image_checks, parse_text_checks
from workers.models.lexicon import parse_lexicon
from workers.models.package import Package, load_package
from workers.models.rules import RuleLabeler
from workers.preprocess.limits import limit_memory
from workers.preprocess.text import split

PROGRAM = (sys.executable, "-P", "-c", "from workers.inference.checking import main; main()")
SECONDS = 120.0
"""torch loads in 3 seconds, and a check set of some images runs in less."""
MEMORY_BYTES = 8 * 1024**3
"""Beyond the code: the largest weights (`packages.MAX_WEIGHTS_BYTES`) are held as bytes, as tensors
and as network, and each thread of torch reserves addresses."""


def check_apart(folder: Path, *, seconds: float = SECONDS) -> None:
    """Load the package of a folder in another process and run its check set there.

    Raises:
        PackageError: it cannot be loaded, gives other outputs, or does not come to an end.
    """
    try:
        # On the CPU, as its maker did: a GPU needs more addresses than the limit leaves.
        ended = subprocess.run(
            [*PROGRAM, str(folder.absolute())],
            env={"PATH": os.defpath, "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PackageError(
            f"{folder.name}: its check did not end within {seconds:g} seconds; make the check set "
            "smaller, or ask its maker"
        ) from None
    if ended.returncode != 0:
        raise PackageError(
            f"{folder.name}: the process that checked it died ({ended.returncode}), perhaps for "
            "want of memory; ask its maker"
        )
    fault = json.loads(ended.stdout)["fault"]
    if fault is not None:
        raise PackageError(fault)


def main() -> None:
    """Check the package whose folder is the last argument, and print its fault as JSON."""
    _load_engines()
    limit_memory(MEMORY_BYTES)
    try:
        check(load_package(Path(sys.argv[-1])))
        fault = None
    except (PackageError, ModelError) as error:
        fault = error.detail
    sys.stdout.write(json.dumps({"fault": fault}))


def check(package: Package) -> None:
    """Load the model as a worker does and compare its outputs with its check set, if it has one.

    Raises:
        PackageError: it cannot be loaded, or an output is beyond the tolerance.
        ModelError: it fails on an input of the check set.
    """
    manifest = package.manifest
    if manifest.engine is Engine.RULES:
        RuleLabeler(parse_lexicon(package.weights))
    elif manifest.engine is Engine.COMPARISON:
        parse_mapping(package.weights)
    else:
        given, stated = _outputs(package, manifest.check)
        if manifest.check is not None:
            _compare(manifest.name, given, stated, manifest.check.tolerance)


def _outputs(
    package: Package, named: CheckSet | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the probabilities that the model gives for its check set, and those stated."""
    from workers.inference.reader import TextReader  # torch
    from workers.inference.session import Session

    nothing = np.empty((0, len(package.manifest.labels)), dtype=np.float32)
    if package.manifest.kind is ResultKind.IMAGE:
        session = Session(package)
        if named is None:
            return nothing, nothing
        checks = parse_image_checks(package.read(named))
        return session.predict(checks.images), checks.probabilities
    reader = TextReader(package)
    if named is None:
        return nothing, nothing
    texts = parse_text_checks(package.read(named))
    given = [
        [finding.probability for finding in reader.label(split(check.text, check.language))]
        for check in texts
    ]
    stated = [check.probabilities for check in texts]
    if any(len(row) != len(package.manifest.labels) for row in (*given, *stated)):
        raise PackageError(
            f"{package.manifest.name}: each text of the check set needs a probability for each "
            "label, and must say something of its study"
        )
    return np.array(given, dtype=np.float32), np.array(stated, dtype=np.float32)


def _compare(
    name: str, given: NDArray[np.float32], stated: NDArray[np.float32], tolerance: float
) -> None:
    if given.shape != stated.shape:
        raise PackageError(
            f"{name}: the check set has probabilities {stated.shape}, the model gives {given.shape}"
        )
    difference = float(np.abs(given - stated).max())
    if not difference <= tolerance:  # a stated value that is no number is not let pass
        raise PackageError(
            f"{name}: on its check set a probability differs by {difference:.2g} from the stated "
            f"one, and {tolerance:.2g} is the most: its weights, preparation or calibration are "
            "not those that its maker measured; get the package again, or ask its maker"
        )


def _load_engines() -> None:
    """Load what is large before the limit is set, so that it does not count."""
    import workers.inference.reader
    import workers.inference.session  # noqa: F401
