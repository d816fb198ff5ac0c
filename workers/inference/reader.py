"""A loaded text network, ready to tell the findings of a document with the words that decided."""

import threading
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

from medqueue.errors import ModelError, PackageError
from schemas.document import Document
from schemas.finding import Evidence, Finding, Presence
from schemas.manifest import Label
from workers.models.attention import PADDING, UNKNOWN, TextNetwork, pad
from workers.models.calibration import calibrated_probabilities
from workers.models.network import build_network
from workers.models.package import Package
from workers.models.tokenizer import Piece, parse_tokenizer

_SHARE_OF_HIGHEST = 0.4
"""Words that have at least this share of the highest attention are evidence."""
_MAX_SPANS = 3
"""More spans than that point at nothing."""


class TextReader:
    """One text model on the CPU. Threads may share one.

    A reader has what a `RuleLabeler` has: a document goes in, findings with evidence come out.

    Raises:
        PackageError: the package is no text model, or its network does not attend.
    """

    def __init__(self, package: Package) -> None:
        self.manifest = package.manifest
        if self.manifest.tokenization is None:
            raise PackageError(f"{self.manifest.name}: a text model needs [tokenization]")
        self._max_tokens = self.manifest.tokenization.max_tokens
        self._tokenizer = parse_tokenizer(package.read(self.manifest.tokenization))
        network = build_network(package)
        if not hasattr(network, "attend"):
            raise PackageError(f"{self.manifest.name}: its architecture is not one for texts")
        self._network = cast("TextNetwork", network)
        self._lock = threading.Lock()
        self._attend([[UNKNOWN]])  # the first report must not wait for lazy set-up

    def label(self, document: Document) -> tuple[Finding, ...]:
        """Return every label of the model; a text that says nothing of its study has none.

        Of a text in several pieces the highest probability counts: what one piece states is stated.
        Evidence is where the label's attention lies, and is given for what is present. It tells
        what the network looked at, which need not be what a person would call the reason.
        """
        pieces = self._tokenizer.pieces(document, self._max_tokens)
        if not pieces:
            return ()
        logits, attention = self._attend([piece.numbers for piece in pieces])
        highest, deciding = logits.max(dim=0)
        probabilities = calibrated_probabilities(highest, self.manifest.temperatures).tolist()
        return tuple(
            _finding(label, probability, document, pieces[at], attention[at, number])
            for number, (label, probability, at) in enumerate(
                zip(self.manifest.labels, probabilities, deciding.tolist(), strict=True)
            )
        )

    def _attend(self, sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
        tokens = pad(sequences)
        with self._lock, torch.inference_mode():
            try:
                logits, attention = self._network.attend(tokens)
            except (RuntimeError, IndexError) as error:
                raise ModelError(
                    f"{self.manifest.name} failed on a text: {type(error).__name__}"
                ) from error
        if logits.shape != (len(sequences), len(self.manifest.labels)):
            raise ModelError(f"{self.manifest.name} gave {tuple(logits.shape)} for a text")
        if not torch.isfinite(logits).all():
            raise ModelError(f"{self.manifest.name} gave a value that is not a finite number")
        return logits, attention.masked_fill((tokens == PADDING).unsqueeze(1), 0.0)


def _finding(
    label: Label, probability: float, document: Document, piece: Piece, attention: Tensor
) -> Finding:
    finding = label.judge(probability)
    if finding.presence is Presence.ABSENT:
        return finding
    return finding.model_copy(update={"evidence": _evidence(document, piece, attention)})


def _evidence(document: Document, piece: Piece, attention: Tensor) -> tuple[Evidence, ...]:
    """Return the spans of the most attended words, the most attended first."""
    weights = attention[: len(piece.numbers)].tolist()
    least = max(weights) * _SHARE_OF_HIGHEST
    spans = [
        (sum(weights[first : last + 1]), piece.evidence(document.text, first, last))
        for first, last in _runs([weight >= least for weight in weights])
    ]
    spans.sort(key=lambda span: -span[0])
    return tuple(evidence for _, evidence in spans[:_MAX_SPANS])


def _runs(chosen: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last place of every unbroken run of chosen words."""
    first = None
    for at, is_chosen in enumerate([*chosen, False]):
        if is_chosen and first is None:
            first = at
        elif not is_chosen and first is not None:
            yield first, at - 1
            first = None
