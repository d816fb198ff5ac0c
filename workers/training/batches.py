"""Batches of tensors for the training loop: images that are bent, texts of like length."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from schemas.manifest import ImagePreparation
from workers.models.attention import PADDING, UNKNOWN, pad
from workers.models.tokenizer import Tokenizer
from workers.preprocess.tabular import with_rows
from workers.training.augmentation import augment
from workers.training.config import Augmentation, TextAugmentation
from workers.training.data import LabelledImages
from workers.training.records import LabelledTexts

_POOL = 20
"""Batches among which texts are sorted by length: more save padding, and mix the texts less."""


class Batches(Protocol):
    """What the loop needs to know of its data."""

    targets: Tensor
    """(n, labels) float32, 0 or 1."""
    steps: int
    """Batches in an epoch."""

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every batch of an epoch: the network's input, and targets (n, labels)."""


class ImageBatches:
    """Normalised images (n, 1, rows, columns); what does not fill a batch waits for chance.

    Images with features have them behind as further planes.
    """

    def __init__(
        self,
        images: LabelledImages,
        preparation: ImagePreparation,
        how: Augmentation,
        batch_size: int,
    ) -> None:
        self._pixels = torch.from_numpy(images.pixels).unsqueeze(1)
        self._features = images.features
        self._preparation = preparation
        self._how = how
        self._size = batch_size
        self.targets = torch.from_numpy(images.targets).float().unsqueeze(1)
        self.steps = len(self._pixels) // batch_size

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every batch in an order of chance."""
        order = torch.randperm(len(self._pixels), generator=generator)
        for step in range(self.steps):
            chosen = order[step * self._size : (step + 1) * self._size]
            bent = augment(self._pixels[chosen].float() / 255, self._how, generator)
            inputs = (bent - self._preparation.mean) / self._preparation.std
            if self._features is not None:
                rows = self._features[chosen.numpy()]
                inputs = torch.from_numpy(with_rows(inputs.numpy(), rows))
            yield inputs, self.targets[chosen]


class TextBatches:
    """Token numbers (n, length), texts of like length together; a long text is cut short."""

    def __init__(
        self,
        texts: LabelledTexts,
        tokenizer: Tokenizer,
        how: TextAugmentation,
        *,
        max_tokens: int,
        batch_size: int,
    ) -> None:
        read = [tokenizer.pieces(document, max_tokens) for document in texts.documents]
        # A text that says nothing of its study has nothing to learn from.
        told = [at for at, pieces in enumerate(read) if pieces]
        self._sequences = [read[at][0].numbers for at in told]
        self._how = how
        self._size = batch_size
        self.targets = torch.from_numpy(texts.targets[told]).float()
        self.steps = -(-len(told) // batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every batch in an order of chance."""
        order: list[int] = torch.randperm(len(self._sequences), generator=generator).tolist()
        batches = [
            batch
            for at in range(0, len(order), self._size * _POOL)
            for batch in self._alike(order[at : at + self._size * _POOL])
        ]
        for chosen in torch.randperm(len(batches), generator=generator).tolist():
            batch = batches[chosen]
            tokens = pad([self._sequences[at] for at in batch])
            yield self._with_unknown(tokens, generator), self.targets[batch]

    def _alike(self, pool: Sequence[int]) -> Iterator[list[int]]:
        by_length = sorted(pool, key=lambda at: len(self._sequences[at]))
        for at in range(0, len(by_length), self._size):
            yield by_length[at : at + self._size]

    def _with_unknown(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(tokens.shape, generator=generator) < self._how.unknown
        return tokens.masked_fill(drawn & (tokens != PADDING), UNKNOWN)
