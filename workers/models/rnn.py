"""A recurrent network for texts: a bidirectional GRU under label attention."""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from workers.models.attention import PADDING, LabelAttention


class BiGru(nn.Module):
    """Embedding, bidirectional GRU (Cho et al. 2014), label attention.

    Args:
        labels: Number of logits.
        vocabulary: Number of tokens, padding and unknown among them.
        embedding: Features of a token.
        width: Features of the state in each direction.
        dropout: Share of features set to zero in training, before and after the GRU.
    """

    def __init__(
        self,
        labels: int,
        *,
        vocabulary: int,
        embedding: int = 96,
        width: int = 96,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(embedding, width, batch_first=True, bidirectional=True)
        self.head = LabelAttention(2 * width, labels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, length) to logits (n, labels)."""
        return self.attend(tokens)[0]

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens (n, length) to logits (n, labels) and attention (n, labels, length)."""
        is_token = tokens != PADDING
        # Packed, so that a text gives the same answer whatever else is in its batch.
        packed = pack_padded_sequence(
            self.dropout(self.embedding(tokens)),
            is_token.sum(dim=1).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        states, _ = pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=tokens.shape[1]
        )
        logits, attention = self.head(self.dropout(states), is_token)
        return logits, attention
