"""From a configuration to a trained, calibrated and measured network; images and texts alike."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medqueue.errors import ConfigurationError
from schemas.manifest import Temperatures
from schemas.preparation import TablePreparation
from schemas.validation import Calibration, Conformal, LabelledData, Reference
from workers.models.calibration import calibrated_probabilities
from workers.models.registry import Parameters, build
from workers.models.tokenizer import Tokenizer, learn_vocabulary
from workers.training import records
from workers.training.batches import ImageBatches, TextBatches
from workers.training.calibration import calibrate, fit_temperature
from workers.training.config import ImageTraining, TextTraining
from workers.training.conformal import fit_conformal
from workers.training.drift_reference import fit_reference
from workers.training.evaluate import (
    Evaluation,
    evaluate_logits,
    logits_of_images,
    logits_of_texts,
)
from workers.training.gate import FittedGate, fit_gate
from workers.training.loop import Run, train_network
from workers.training.preparing import prepare_images, records_of
from workers.training.records import LabelledTexts
from workers.training.validation import figures_of


@dataclass(frozen=True, slots=True)
class Trained:
    """What training found out."""

    network: nn.Module
    parameters: Parameters
    """That the network was built with."""
    temperatures: Temperatures
    measured: Evaluation
    """On the val split."""
    tokenizer: Tokenizer | None = None
    """Of a text model."""
    calibration: Calibration | None = None
    """What the temperatures of an image model do, measured on halves of the val split."""
    gate: FittedGate | None = None
    """What tells images that are foreign to an image model."""
    drift: Reference | None = None
    """What the val images are like, to an image model."""
    conformal: Conformal | None = None
    data: LabelledData | None = None
    table: TablePreparation | None = None
    """As fitted on the train split, of an image model that is told more than pixels."""


def train_images(config: ImageTraining, run: Run) -> Trained:
    """Train on the train split; fit the temperatures and measure on the val split."""
    data, package = config.data, config.package
    ready = prepare_images(data, package.label.name, package.preparation, package.table)
    parameters = dict(package.parameters)
    if ready.table is not None:
        parameters["columns"] = len(ready.table.features)
    training, validation = ready.training, ready.validation
    how = config.optimisation
    batches = ImageBatches(training, package.preparation, config.augmentation, how.batch_size)
    targets = validation.targets[:, None]

    def logits_of(network: nn.Module) -> Tensor:
        return logits_of_images(
            network, validation.pixels, package.preparation, validation.features
        )

    network = train_network(
        lambda: build(package.architecture, 1, parameters),
        batches,
        how,
        lambda learnt: figures_of(logits_of(learnt), targets),
        run,
    )
    logits = logits_of(network)
    temperatures, calibration = calibrate(logits, targets, how.seed)
    measured = evaluate_logits(logits, targets, (package.label,), temperatures)
    gate = fit_gate(
        network,
        training.pixels,
        validation.pixels,
        package.preparation,
        seed=how.seed,
        rows=(training.features, validation.features),
    )
    probabilities = calibrated_probabilities(logits, temperatures)[:, 0].numpy()
    return Trained(
        network,
        parameters,
        temperatures,
        measured,
        calibration=calibration,
        gate=gate,
        drift=fit_reference(validation.pixels, probabilities, package.preparation),
        conformal=fit_conformal(probabilities, validation.targets, how.seed),
        data=LabelledData(
            positive_class=data.positive_class,
            trained_on=len(training.pixels),
            left_out=ready.left_out,
        ),
        table=ready.table,
    )


def train_texts(config: TextTraining, run: Run) -> Trained:
    """Train on most of the train split, fit the temperature on the rest, measure on val.

    A text of the val split is never trained on, nor is one twice that comes in many copies.
    """
    # A step takes a few milliseconds: threads would wait for each other longer than they compute.
    torch.set_num_threads(1)
    package, how = config.package, config.optimisation
    found = records_of(config)
    validation = [record for record in found if record.split == "val"]
    known = records.without_texts_of(records.of_split(found, "train"), validation)
    names = tuple(label.name for label in package.labels)
    training, calibration = _parted(
        records.label_records(known, names, config.data.terms), config.data.calibration_share
    )
    tokenizer = learn_vocabulary(training.documents, min_count=package.min_count)
    parameters = {**package.parameters, "vocabulary": len(tokenizer.tokens)}
    batches = TextBatches(
        training,
        tokenizer,
        config.augmentation,
        max_tokens=package.max_tokens,
        batch_size=how.batch_size,
    )
    unseen = records.label_records(validation, names, config.data.terms)

    def logits_of(network: nn.Module, texts: LabelledTexts) -> Tensor:
        return logits_of_texts(
            network,
            texts.documents,
            tokenizer,
            max_tokens=package.max_tokens,
            labels=len(names),
        )

    network = train_network(
        lambda: build(package.architecture, len(names), parameters),
        batches,
        how,
        lambda learnt: figures_of(logits_of(learnt, unseen), unseen.targets),
        run,
    )
    aside = logits_of(network, calibration)
    temperature = fit_temperature(aside, torch.from_numpy(calibration.targets))
    temperatures = temperature, temperature
    logits = logits_of(network, unseen)
    measured = evaluate_logits(logits, unseen.targets, package.labels, temperatures)
    return Trained(network, parameters, temperatures, measured, tokenizer)


def _parted(texts: LabelledTexts, share: float) -> tuple[LabelledTexts, LabelledTexts]:
    """Part the texts for training from those for calibration: every so many-th is of the latter."""
    step = max(2, round(1 / share))
    aside = range(0, len(texts.documents), step)
    rest = [at for at in range(len(texts.documents)) if at % step]
    if not rest:
        raise ConfigurationError("data: the train split has too few texts to train on")
    return texts.select(rest), texts.select(aside)
