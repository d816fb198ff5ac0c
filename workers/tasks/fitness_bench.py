"""How much of what is unfit is caught before any score: a labelled set of spoiled inputs.

All of it is made by code from phantoms, so the shares say which faults are told at all, not how
often they come. False alarms on real images are in the model cards and in docs/explanation/trust.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from medqueue.errors import UnsupportedInputError
from medqueue.operate import demo_inputs, phantoms
from medqueue.operate.bench import Row
from schemas.acceptance import image_refusal
from schemas.manifest import ImagePreparation, Manifest
from workers.inference.conclusion import conclude
from workers.inference.reading import ImageModel
from workers.inference.session import Session
from workers.models.package import bundled_packages, load_package
from workers.preprocess.fitness import refuse_unfit_pixels
from workers.preprocess.series import prepare_series

_MODEL = "cxr-pneumonia"
_EACH = 8
_MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
_VOLUME = ImagePreparation(size=(28, 28), mean=0.5, std=0.25, takes="volume", window=(40, 400))

_Pixels = NDArray[np.uint16]
_Spoil = Callable[[Dataset, np.random.Generator], None]
_SpoilSeries = Callable[[list[Dataset]], None]


def run() -> list[Row]:
    """Spoiled inputs that are skipped before any score, by kind, and false alarms on whole ones."""
    package = load_package({folder.name: folder for folder in bundled_packages()}[_MODEL])
    model = Session(package)
    rows = []
    with tempfile.TemporaryDirectory(prefix="medqueue-fitness-") as folder:
        for kind, spoil in _IMAGES.items():
            made = _spoiled_images(Path(folder), spoil)
            rows.append(_row(kind, [_judge([path], package.manifest, model) for path in made]))
        for kind, spoil_series in _SERIES.items():
            rows.append(_row(kind, [_judge_volume(_spoiled_series(Path(folder), spoil_series))]))
    return rows


def _judge(paths: Sequence[Path], manifest: Manifest, model: ImageModel) -> str | None:
    """Return the code that the queue would skip these files with; None: they would be scored."""
    if manifest.preparation is None:
        raise AssertionError("an image model says how to prepare images")
    header = dcmread(paths[0], stop_before_pixels=True)
    refusal = image_refusal(
        manifest.accepts,
        modality=header.Modality,
        sop_class_uid=header.SOPClassUID,
        body_part=header.get("BodyPartExamined"),
        view_position=header.get("ViewPosition"),
    )
    if refusal is not None:
        return refusal.code
    try:
        images = prepare_series(paths, manifest.preparation)
        refuse_unfit_pixels(images, manifest.preparation)
        conclude(images, manifest, model)
    except UnsupportedInputError as error:
        return error.code
    return None


def _judge_volume(paths: Sequence[Path]) -> str | None:
    try:
        refuse_unfit_pixels(prepare_series(paths, _VOLUME), _VOLUME)
    except UnsupportedInputError as error:
        return error.code
    return None


def _row(kind: str, codes: Sequence[str | None]) -> Row:
    caught = [code for code in codes if code is not None]
    told = f" as {', '.join(sorted(set(caught)))}" if caught else ""
    what = "false alarms" if kind.startswith("fit:") else "caught"
    return Row(case=kind, value=len(caught), unit=f"{what} of {len(codes)}{told}")


def _spoiled_images(folder: Path, spoil: _Spoil) -> Iterator[Path]:
    for number in range(_EACH):
        (path,) = demo_inputs.single_chest(folder, number, now=_MADE_AT).files
        data = dcmread(path)
        spoil(data, np.random.default_rng(number))
        data.save_as(path)
        yield path


def _spoiled_series(folder: Path, spoil: _SpoilSeries) -> list[Path]:
    studies = demo_inputs.write_studies(folder, now=_MADE_AT)
    (paths,) = (study.files for study in studies if study.title.startswith("CT"))
    slices: list[Dataset] = [dcmread(path) for path in paths]
    spoil(slices)
    for path, data in zip(paths, slices, strict=False):
        data.save_as(path)
    return list(paths[: len(slices)])


def _header(**attributes: object) -> _Spoil:
    def spoil(data: Dataset, random: np.random.Generator) -> None:
        del random
        for keyword, value in attributes.items():
            setattr(data, keyword, value)

    return spoil


def _pixels(make: Callable[[np.random.Generator], NDArray[np.generic]]) -> _Spoil:
    """Put other 12-bit pixels (512, 512) under the header of a chest radiograph."""

    def spoil(data: Dataset, random: np.random.Generator) -> None:
        pixels = np.clip(make(random), 0, 4095).astype("<u2")
        data.Rows, data.Columns = pixels.shape
        data.PixelData = pixels.tobytes()

    return spoil


def _checkerboard(random: np.random.Generator) -> NDArray[np.generic]:
    side = int(random.integers(20, 90))
    y, x = np.mgrid[:512, :512] // side
    return np.asarray((y + x) % 2 * 4095)


def _step_wedge(random: np.random.Generator) -> NDArray[np.generic]:
    steps = int(random.integers(6, 14))
    return np.tile(np.arange(512) * steps // 512 * 4095 // (steps - 1), (512, 1))


def _screen(random: np.random.Generator) -> NDArray[np.generic]:
    """A dark screen with lines of writing and a bright frame."""
    shown = np.full((512, 512), 150)
    for top in range(30, 480, 24):
        shown[top : top + 10, 30 : 30 + int(random.integers(80, 450))] = 3900
    shown[:8], shown[-8:], shown[:, :8], shown[:, -8:] = 3000, 3000, 3000, 3000
    return shown


def _upside_down(data: Dataset, random: np.random.Generator) -> None:
    del random
    data.PixelData = np.flipud(data.pixel_array).tobytes()


def _ct_slice(random: np.random.Generator) -> NDArray[np.generic]:
    return phantoms.ct_slice(512, level=random.random(), seed=int(random.integers(1000)))


def _lose_a_slice(slices: list[Dataset]) -> None:
    del slices[2]


def _tilt(slices: list[Dataset]) -> None:
    for number, one in enumerate(slices):
        across, along, height = one.ImagePositionPatient
        one.ImagePositionPatient = [across, float(along) + number, height]


def _second_phase(slices: list[Dataset]) -> None:
    half = len(slices) // 2
    for number, one in enumerate(slices):
        one.AcquisitionNumber = 1 + number // half
        one.ImagePositionPatient = slices[number % half].ImagePositionPatient


def _double(slices: list[Dataset]) -> None:
    slices[2].ImagePositionPatient = slices[1].ImagePositionPatient


def _localizer(slices: list[Dataset]) -> None:
    slices[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


_IMAGES: dict[str, _Spoil] = {
    "fit: chest": _header(),
    "wrong modality": _header(Modality="MG"),
    "wrong body part": _header(BodyPartExamined="HAND"),
    "lateral view": _header(ViewPosition="LL"),
    "phantom, by its header": _header(QualityControlImage="YES"),
    "saved screen, by its header": _header(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]),
    "colour": _header(PhotometricInterpretation="RGB", SamplesPerPixel=3),
    "blank, with noise": _pixels(lambda random: random.normal(2000, 15, (512, 512))),
    "black": _pixels(lambda _: np.zeros((512, 512))),
    "saturated": _pixels(lambda random: random.normal(4600, 400, (512, 512))),
    "noise under a chest header": _pixels(lambda random: random.integers(0, 4096, (512, 512))),
    "checkerboard under a chest header": _pixels(_checkerboard),
    "step wedge under a chest header": _pixels(_step_wedge),
    "screen of text under a chest header": _pixels(_screen),
    "CT slice under a chest header": _pixels(_ct_slice),
    "chest upside down": _upside_down,
}
_SERIES: dict[str, _SpoilSeries] = {
    "fit: volume": lambda _: None,
    "missing slice": _lose_a_slice,
    "doubled slice": _double,
    "mixed phases": _second_phase,
    "tilted gantry": _tilt,
    "localizer in the series": _localizer,
    "one slice of another size": lambda slices: setattr(slices[0], "PixelSpacing", [1, 1]),
}
