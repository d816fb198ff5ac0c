"""Attention of each label over the tokens of a text: the head that all text networks share.

It is what makes a network's answer readable: its weights say which words decided a label.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

PADDING = 0
"""Token number that fills a batch up; it is never attended to."""
UNKNOWN = 1
"""Token number of every word that is not in the vocabulary."""


def pad(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return token numbers (n, longest) int64, each row filled up with `PADDING`."""
    rows = [torch.tensor(sequence, dtype=torch.int64) for sequence in sequences]
    return pad_sequence(rows, batch_first=True, padding_value=PADDING)


class TextNetwork(Protocol):
    """What a text network offers beside `forward`, which gives the logits alone."""

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens (n, length) to logits (n, labels) and attention (n, labels, length)."""


class LabelAttention(nn.Module):
    """One query and one linear output for each label (Mullenbach et al. 2018, CAML).

    Args:
        width: Features of a token's state.
        labels: Number of logits.
    """

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.queries = nn.Linear(width, labels, bias=False)
        self.outputs = nn.Linear(width, labels)

    def forward(self, states: Tensor, is_token: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the states of the tokens for each label.

        Args:
            states: (n, length, width).
            is_token: (n, length), False where the batch is filled up; True once at least a row.

        Returns:
            Logits (n, labels), and attention (n, labels, length) that sums to one over a text.
        """
        scores = self.queries(states).transpose(1, 2)
        attention = scores.masked_fill(~is_token.unsqueeze(1), float("-inf")).softmax(dim=-1)
        pooled = attention @ states
        logits = (pooled * self.outputs.weight).sum(dim=-1) + self.outputs.bias
        return logits, attention
