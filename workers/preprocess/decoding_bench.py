"""The cost of a frame by transfer syntax: ours against every other decoder that is installed.

Decoders of one frame take turns, so that what else the machine does meets all alike; medians are
reported, of processor time. The pictures are phantoms with noise.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from medqueue.operate import phantoms
from medqueue.operate.bench import Row
from schemas.manifest import ImagePreparation
from workers.preprocess.decoding import decode_frames
from workers.preprocess.isolated import IsolatedPreparation, Nursery
from workers.preprocess.series import prepare_series
from workers.preprocess.volume import read_volume

_OURS = "medqueue"
_TURNS = 5
_TIMES = 25
_SLICES = 200
_PREPARATION = ImagePreparation(size=(28, 28), mean=0.5, std=0.25)

_Decode = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to store a picture."""

    syntax: str
    bits: int
    encode: Callable[[NDArray[np.integer]], bytes | bytearray] | None
    """None for native pixel data, and for RLE, which pydicom encodes."""


_FORMS = {
    "native": _Form(uid.ExplicitVRLittleEndian, 16, None),
    "RLE": _Form(uid.RLELossless, 16, None),
    "JPEG 8 bit": _Form(uid.JPEGBaseline8Bit, 8, imagecodecs.jpeg8_encode),
    "JPEG 12 bit": _Form(
        uid.JPEGExtended12Bit, 12, lambda a: imagecodecs.jpeg8_encode(a, bitspersample=12)
    ),
    "JPEG Lossless": _Form(
        uid.JPEGLosslessSV1, 16, lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16)
    ),
    "JPEG-LS": _Form(uid.JPEGLSLossless, 16, imagecodecs.jpegls_encode),
    "JPEG 2000 lossless": _Form(
        uid.JPEG2000Lossless,
        16,
        lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", level=0),
    ),
    "JPEG 2000 lossy": _Form(
        uid.JPEG2000,
        16,
        lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", level=70, reversible=False),
    ),
    "HTJ2K": _Form(uid.HTJ2KLossless, 16, imagecodecs.htj2k_encode),
}
_BARE: dict[str, dict[str, Callable[[bytes], object]]] = {
    uid.JPEGLosslessSV1: {"imagecodecs ljpeg": imagecodecs.ljpeg_decode},
    uid.HTJ2KLossless: {"imagecodecs htj2k": imagecodecs.htj2k_decode},
}
"""Decoders beside pydicom's plugins; without the checks and the data set."""


def run() -> list[Row]:
    """Milliseconds of processor time a frame by transfer syntax, against other decoders."""
    pictures = {
        "CT 512 x 512": phantoms.ct_slice(512, level=0.5, seed=1) * np.uint16(16),
        "DX 2500 x 2048": phantoms.chest(2500, 2048, bits=16, opacity=0.2, seed=1),
    }
    rows = [
        row
        for picture_name, picture in pictures.items()
        for form_name, form in _FORMS.items()
        for row in _compare(f"{picture_name}, {form_name}", _stored(picture, form))
    ]
    with tempfile.TemporaryDirectory(prefix="medqueue-bench-") as folder:
        rows += _isolation(Path(folder), pictures)
        rows += _volume(Path(folder))
    return rows


def _compare(case: str, data: Dataset) -> Iterator[Row]:
    syntax = data.file_meta.TransferSyntaxUID
    decoders: dict[str, _Decode] = {_OURS: partial(decode_frames, data)}
    plugins = get_decoder(syntax).available_plugins if syntax.is_compressed else ("",)
    for plugin in plugins:
        name = f"pydicom with {plugin}" if plugin else "pydicom"
        decoders[name] = partial(pixel_array, data, decoding_plugin=plugin)
    for name, decode in _BARE.get(syntax, {}).items():
        decoders[name] = partial(_bare, data, decode)
    able = {name: decode for name, decode in decoders.items() if _can(decode)}
    yield from _rows(case, _take_turns(able))


def _bare(data: Dataset, decode: Callable[[bytes], object]) -> None:
    for frame in generate_frames(data.PixelData, number_of_frames=1):
        decode(frame)


def _can(decode: _Decode) -> bool:
    """Tell whether a decoder reads this form at all, and warm it up."""
    try:
        decode()
    except RuntimeError:  # as with Pillow and 12 bits
        return False
    return True


def _take_turns(
    ways: dict[str, _Decode], clock: Callable[[], float] = time.process_time, times: int = 1
) -> dict[str, float]:
    """Return the median milliseconds of each, when it is called so many times in a turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_TURNS):
        for name, way in ways.items():
            begin = clock()
            for _ in range(times):
                way()
            taken[name].append((clock() - begin) * 1000 / times)
    return {name: statistics.median(turns) for name, turns in taken.items()}


def _rows(case: str, taken: dict[str, float]) -> Iterator[Row]:
    ours = taken.pop(_OURS)
    yield Row(case, round(ours, 2), "ms")
    for name, other in taken.items():
        yield Row(f"{case}: {name}", round(other, 2), "ms", round(other / ours, 2), _OURS)


def _isolation(folder: Path, pictures: dict[str, NDArray[np.uint16]]) -> Iterator[Row]:
    nursery = Nursery()
    apart = IsolatedPreparation(nursery)
    for name, picture in pictures.items():
        path = folder / "image.dcm"
        _stored(picture, _FORMS["native"]).save_as(path, enforce_file_format=True)
        ways: dict[str, _Decode] = {
            _OURS: partial(apart, [path], _PREPARATION),
            "in the worker process": partial(prepare_series, [path], _PREPARATION),
        }
        apart([path], _PREPARATION)
        (decoder,) = psutil.Process(nursery.pid).children()
        clock = partial(_time_of_both, decoder)
        taken = _take_turns(ways, clock, times=_TIMES)
        yield from _rows(f"{name}, file to tensor", taken)
    apart.close()
    nursery.stop()


def _time_of_both(decoder: psutil.Process) -> float:
    """Processor time of this process and of a decoder, which the system counts in 10 ms."""
    return time.process_time() + sum(decoder.cpu_times()[:2])


def _volume(folder: Path) -> Iterator[Row]:
    paths = [folder / f"{number}.dcm" for number in range(_SLICES)]
    picture = phantoms.ct_slice(512, level=0.5, seed=1)
    for number, path in enumerate(paths):
        data = _stored(picture, _FORMS["native"])
        data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.InstanceNumber, data.BitsStored = [1, 1], number + 1, 12
        data.HighBit, data.RescaleSlope, data.RescaleIntercept = 11, 1, -1024
        data.save_as(path, enforce_file_format=True)
    ways: dict[str, _Decode] = {
        _OURS: partial(read_volume, paths),
        "a plain loop": partial(_plain_volume, paths),
    }
    taken = _take_turns(ways)
    ours, plain = (round(_SLICES / milliseconds * 1000, 1) for milliseconds in taken.values())
    case = f"{_SLICES} CT slices to a volume"
    yield Row(case, ours, "slices/s", round(ours / plain, 2), "a plain loop")
    yield Row(f"{case}: a plain loop", plain, "slices/s")


def _plain_volume(paths: list[Path]) -> NDArray[np.int16]:
    """What most scripts do: read all, sort by z, stack, rescale; nothing is checked."""
    slices = sorted((dcmread(path) for path in paths), key=lambda one: one.ImagePositionPatient[2])
    rescaled = [
        pixel_array(one) * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices
    ]
    return np.stack(rescaled).astype(np.int16)


def _stored(picture: NDArray[np.uint16], form: _Form) -> Dataset:
    stored: NDArray[np.integer] = picture >> (16 - form.bits)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = uid.CTImageStorage, "1.2.3.4"
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = 8 if form.bits == 8 else 16  # noqa: PLR2004 - a byte
    data.BitsStored, data.HighBit, data.PixelRepresentation = form.bits, form.bits - 1, 0
    stored = stored.astype(f"u{data.BitsAllocated // 8}")
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"
    if form.syntax == uid.RLELossless:
        data.compress(uid.RLELossless, generate_instance_uid=False)
    elif form.encode is not None:
        data.file_meta.TransferSyntaxUID = uid.UID(form.syntax)
        data.PixelData = encapsulate([bytes(form.encode(stored))])
        data["PixelData"].VR = "OB"
    return data
