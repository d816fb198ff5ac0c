"""Mutated files against all that reads them: the door's header walk, and preparation apart."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
from pydicom import uid
from pydicom.data import DATA_ROOT
from pydicom.filereader import read_file_meta_info

from dicom_files import an_image_data_set
from fuzz.campaign.mutation import mutated
from fuzz.campaign.pdus import no_hang
from medqueue.doors.header import read_header, require_whole
from medqueue.errors import DecoderLostError, MedqueueError
from schemas.manifest import ImagePreparation
from workers.preprocess.isolated import IsolatedPreparation, Nursery

PREPARATION = ImagePreparation(size=(28, 28), mean=0.5, std=0.25, takes="frames", colour="as-grey")
_PICTURE = np.add.outer(np.arange(96), np.arange(80) * 300).astype(np.uint16)
_FRAMES = {
    uid.HTJ2KLossless: imagecodecs.htj2k_encode(_PICTURE),
    uid.JPEGLosslessSV1: imagecodecs.ljpeg_encode(_PICTURE, bitspersample=16),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode(_PICTURE),
    uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(_PICTURE, codecformat="j2k", level=0),
}
_LARGEST = 160_000
"""Of a file that is mutated: larger ones are slow and hold nothing else."""
_META_LENGTH = 132
_DECODING_SECONDS = 20.0


@dataclass
class Report:
    """What came of a run."""

    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    grown_mib: dict[str, float] = field(default_factory=dict)
    """Resident memory of this process and of the decoder, over the last three quarters."""
    deaths: list[str] = field(default_factory=list)
    """What killed a decoder, which costs the file alone."""
    faults: list[str] = field(default_factory=list)
    """Errors that nobody meant; each is a finding."""


@dataclass(frozen=True)
class Source:
    """A whole file to mutate."""

    content: bytes
    syntax: str
    begin: int
    """Where its data set begins."""


def _made(syntax: str, frame: bytes) -> Source:
    data = an_image_data_set(_PICTURE, syntax, [frame])
    written = BytesIO()
    data.save_as(written, enforce_file_format=True)
    content = written.getvalue()
    return Source(content, syntax, _begin(content))


def _begin(content: bytes) -> int:
    """Return where the data set begins, by File Meta Information Group Length."""
    return _META_LENGTH + 12 + int.from_bytes(content[140:144], "little")


def sources() -> list[Source]:
    """Return pydicom's images that are small enough, and what it has no image of."""
    found = [_made(syntax, frame) for syntax, frame in _FRAMES.items()]
    for path in sorted((Path(DATA_ROOT) / "test_files").rglob("*")):
        if path.is_file() and path.stat().st_size < _LARGEST:
            content = path.read_bytes()
            if content[128:_META_LENGTH] == b"DICM" and b"\x28\x00\x10\x00" in content:
                syntax = read_file_meta_info(path).TransferSyntaxUID
                found.append(Source(content, syntax, _begin(content)))
    return found


def run(folder: Path, *, count: int, seed: int) -> Report:
    """Mutate files, and let a door and a worker read each."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    chosen = sources()
    nursery = Nursery()
    prepare = IsolatedPreparation(nursery, seconds=_DECODING_SECONDS)
    report, path = Report(), folder / "mutated.dcm"
    early: dict[str, int] = {}
    for number in range(count):
        if number == count // 4:
            early = _resident(nursery)
        source = chance.choice(chosen)
        path.write_bytes(_mutated_file(source.content, chance))
        begun = time.monotonic()
        with no_hang(_DECODING_SECONDS * 2):
            at_door = _outcome(report, partial(_walk, path, source))
            at_worker = _outcome(report, partial(prepare, [path], PREPARATION))
        report.outcomes.update([f"door: {at_door}", f"worker: {at_worker}"])
        took = time.monotonic() - begun
        report.sent += 1
        report.seconds += took
        report.slowest = max(report.slowest, took)
    late = _resident(nursery)
    report.grown_mib = {name: (late[name] - early[name]) / 1024**2 for name in early}
    prepare.close()
    nursery.stop()
    return report


def _mutated_file(content: bytes, chance: random.Random) -> bytes:
    """Change the header or the pixel data, which is most of the file, as often as each other."""
    if chance.random() < 0.5:
        at = chance.randint(_META_LENGTH, len(content))
        return content[:at] + mutated(content[at:], chance)
    end = chance.randint(_META_LENGTH, min(len(content), 3000))
    return content[:_META_LENGTH] + mutated(content[_META_LENGTH:end], chance) + content[end:]


def _outcome(report: Report, read: Callable[[], object]) -> str:
    try:
        read()
    except DecoderLostError as error:
        report.faults.append(error.detail)
        return error.code
    except MedqueueError as error:
        if error.code == MedqueueError.code:
            report.faults.append(error.detail)
        if "crashed" in error.detail or "in time" in error.detail:
            report.deaths.append(error.detail)
        return error.code
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        report.faults.append(f"{type(error).__name__}: {error}")
        return type(error).__name__
    return "read"


def _walk(path: Path, source: Source) -> None:
    """Read the data set as the door does that receives it."""
    data_set = path.read_bytes()[source.begin :]
    read_header(BufferedReader(BytesIO(data_set)), source.syntax, urgent=False)
    require_whole(BufferedReader(BytesIO(data_set)), source.syntax)


def _resident(nursery: Nursery) -> dict[str, int]:
    decoders = psutil.Process(nursery.pid).children()
    return {
        "worker": psutil.Process().memory_info().rss,
        "decoder": max((one.memory_info().rss for one in decoders), default=0),
    }
