"""One series, prepared and diagnosed: which images count, and what happens when some are gone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from builders import a_header, after, an_image_model, complete, only, register, work_rows
from builders import claim as claim_work
from chest_images import a_picture, an_image
from medqueue.errors import InstanceLostError, UndecodableError, UnsupportedInputError
from medqueue.ledger import intake, models, work
from medqueue.ledger.engine import Ledger
from medqueue.storage.artifacts import ArtifactStore
from medqueue.storage.instances import InstanceStore
from schemas.finding import Presence
from schemas.manifest import Label, Manifest
from schemas.result import ResultStatus
from schemas.study import StoredInstance
from schemas.work import Claim, Stage
from workers.diagnose_study import SeriesDiagnosis
from workers.inference.reading import Reading
from workers.preprocess.series import prepare_series

MODEL = an_image_model(
    labels=(Label(name="nodule", threshold=0.5), Label(name="effusion", threshold=0.3))
)
Array = NDArray[np.float32]


@dataclass
class Site:
    """A ledger with a model, an instance store and the folder between the stages."""

    ledger: Ledger
    folder: Path

    def __post_init__(self) -> None:
        register(self.ledger, MODEL)
        self.instances = InstanceStore(self.folder / "instances", min_free_mib=0)
        self.artifacts = ArtifactStore(self.folder / "artifacts")
        self.series = SeriesDiagnosis(self.ledger, self.instances, self.artifacts, prepare_series)

    def receive(self, instance: int = 1, *, at: float = 0, **attributes: Any) -> str:
        """Take in an image as a door does; return its SOP Instance UID."""
        uid = f"1.2.3.1.{instance}"
        made = an_image(self.folder, number=instance, SOPInstanceUID=uid, **attributes)
        path = self.instances.root / f"{instance}-{at}.dcm"
        made.rename(path)
        stored = StoredInstance(path=path.name, sha256=f"{instance:032}{int(at):032}", size=1)
        modality = str(dcmread(path, stop_before_pixels=True).Modality)
        header = a_header(instance=instance, modality=modality)
        with self.ledger.write() as connection:
            intake.record_instance(connection, header, stored, calling_ae="PACS", now=after(at))
        return uid

    def claim(self, stage: Stage = Stage.PREPARE_SERIES, *, at: float = 10) -> Claim:
        """Claim the newest work of a stage."""
        complete(self.ledger, at=at)
        return claim_work(self.ledger, work_rows(self.ledger, stage=stage)[-1].id, at=at)

    def prepare(self) -> Claim:
        """Prepare the series, and claim its diagnosis."""
        held = self.claim()
        follow_up = self.series.prepare(held, MODEL)
        work.finish(self.ledger, held, follow_up=follow_up, now=after(11))
        return self.claim(Stage.DIAGNOSE_IMAGE, at=12)


@pytest.fixture
def site(ledger: Ledger, tmp_path: Path) -> Site:
    return Site(ledger, tmp_path)


class Predictor:
    """A model that gives these probabilities, and remembers what it saw."""

    def __init__(self, *probabilities: tuple[float, float]) -> None:
        self._probabilities = np.array(probabilities, dtype=np.float32)
        self.seen: Array | None = None

    def read(self, images: Array) -> Reading:
        self.seen = images
        return Reading(self._probabilities)

    def explain(self, image: Array, label: int) -> None:
        del image, label


def test_a_series_is_prepared_as_the_manifest_says_and_handed_on(site: Site) -> None:
    site.receive(1)
    site.receive(2)
    held = site.claim()

    follow_up = site.series.prepare(held, MODEL)

    assert follow_up is not None
    assert (follow_up.stage, follow_up.model_name) == (Stage.DIAGNOSE_IMAGE, "chest")
    images = site.artifacts.get(follow_up.artifact)["images"]
    assert (images.shape, images.dtype) == ((2, 1, 28, 28), np.float32)


def test_a_finding_is_as_probable_as_in_the_image_that_shows_it_best(site: Site) -> None:
    uids = [site.receive(1), site.receive(2)]
    held = site.prepare()

    outcome = site.series.diagnose(held, MODEL, Predictor((0.1, 0.3), (0.7, 0.2)))

    assert outcome is not None
    assert outcome.status is ResultStatus.FINAL
    assert outcome.model == MODEL.reference()
    assert list(outcome.sop_instance_uids) == uids
    found = [(f.label, f.probability, f.threshold, f.presence) for f in outcome.findings]
    assert found == [
        ("nodule", pytest.approx(0.7), 0.5, Presence.PRESENT),
        ("effusion", pytest.approx(0.3), 0.3, Presence.PRESENT),
    ]


def test_below_its_threshold_a_finding_is_absent(site: Site) -> None:
    site.receive(1)
    outcome = site.series.diagnose(site.prepare(), MODEL, Predictor((0.49, 0.29)))
    assert outcome is not None
    assert [finding.presence for finding in outcome.findings] == [Presence.ABSENT] * 2


def test_the_model_sees_the_images_in_the_order_of_the_series(site: Site) -> None:
    site.receive(2, pixels=a_picture()[::-1].copy())
    site.receive(1)
    predictor = Predictor((0, 0), (0, 0))
    site.series.diagnose(site.prepare(), MODEL, predictor)
    assert predictor.seen is not None
    first, second = predictor.seen[:, 0]
    assert first[0].mean() < first[-1].mean()
    assert second[0].mean() > second[-1].mean()


@pytest.mark.parametrize("damage", ["gone", "cut", "never written"])
def test_a_lost_file_between_the_stages_costs_time_and_not_the_result(
    site: Site, damage: str
) -> None:
    site.receive(1)
    held = site.prepare()
    whole = Predictor((0.2, 0.8))
    expected = site.series.diagnose(held, MODEL, whole)
    (artifact,) = (site.folder / "artifacts").iterdir()
    match damage:
        case "gone":
            artifact.unlink()
        case "cut":
            artifact.write_bytes(artifact.read_bytes()[:100])
        case "never written":
            held = replace(held, artifact=None)

    again = Predictor((0.2, 0.8))
    assert site.series.diagnose(held, MODEL, again) == expected
    assert again.seen is not None
    assert whole.seen is not None
    assert np.array_equal(again.seen, whole.seen)


def test_a_series_that_has_grown_is_left_to_the_work_on_its_new_content(site: Site) -> None:
    site.receive(1)
    held = site.claim()
    site.receive(2, at=11)

    assert site.series.prepare(held, MODEL) is None
    assert list((site.folder / "artifacts").iterdir()) == []


@pytest.mark.parametrize("is_file_there", [True, False])
def test_the_same_holds_for_its_diagnosis_which_would_name_images_it_never_saw(
    site: Site, is_file_there: bool
) -> None:
    site.receive(1)
    held = site.prepare()
    site.receive(2, at=13)
    if not is_file_there:
        site.series.forget(held)

    assert site.series.diagnose(held, MODEL, Predictor((0, 0))) is None


def test_an_object_in_conflict_is_not_diagnosed(site: Site) -> None:
    site.receive(1)
    site.receive(1, at=1, pixels=a_picture()[::-1].copy())
    predictor = Predictor((0, 0))

    outcome = site.series.diagnose(site.prepare(), MODEL, predictor)

    assert outcome is not None
    assert len(outcome.sop_instance_uids) == 1
    assert predictor.seen is not None
    assert predictor.seen[0, 0, 0].mean() < predictor.seen[0, 0, -1].mean()


def test_a_series_with_one_damaged_image_is_not_diagnosed(site: Site) -> None:
    site.receive(1)
    site.receive(2, PixelData=b"\0" * 10)
    with pytest.raises(UndecodableError):
        site.series.prepare(site.claim(), MODEL)


def test_what_the_model_cannot_take_is_told_apart_from_damage(site: Site) -> None:
    site.receive(1, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(UnsupportedInputError):
        site.series.prepare(site.claim(), MODEL)


def test_a_model_without_a_preparation_takes_no_image(site: Site) -> None:
    site.receive(1)
    unprepared = Manifest.model_validate({**MODEL.model_dump(), "preparation": None})
    with pytest.raises(UnsupportedInputError, match="does not say how"):
        site.series.prepare(site.claim(), unprepared)


def test_after_the_result_the_file_between_the_stages_goes(site: Site) -> None:
    site.receive(1)
    held = site.prepare()
    site.series.forget(held)
    site.series.forget(held)
    assert list((site.folder / "artifacts").iterdir()) == []
    assert only(work_rows(site.ledger, stage=Stage.DIAGNOSE_IMAGE)).artifact is not None


def test_an_image_that_has_left_the_store_is_named_and_may_come_back(site: Site) -> None:
    site.receive()
    complete(site.ledger)
    held = site.claim()
    (stored,) = site.instances.root.glob("*.dcm")
    away = stored.rename(stored.with_suffix(".away"))

    with pytest.raises(InstanceLostError, match="mount or restore"):
        site.series.prepare(held, MODEL)

    away.rename(stored)
    assert site.series.prepare(held, MODEL) is not None


def test_a_shadow_prepares_its_images_itself_and_explains_nothing(site: Site) -> None:
    shadow = MODEL.model_copy(update={"version": "2.0.0"})
    register(site.ledger, shadow)
    with site.ledger.write() as connection:
        models.let_shadow(connection, "chest", "2.0.0", actor="anna", now=after(0))
    uid = site.receive(1)
    held = site.claim(Stage.SHADOW_IMAGE)

    class Explains(Predictor):
        def explain(self, image: Array, label: int) -> None:
            del image, label
            pytest.fail("nobody looks at the pictures of a shadow")

    outcome = site.series.diagnose(held, shadow, Explains((0.9, 0.9)))

    assert outcome is not None
    assert outcome.sop_instance_uids == (uid,)
    assert [finding.presence for finding in outcome.findings] == [Presence.PRESENT] * 2
    assert [finding.explanation for finding in outcome.findings] == [None, None]
