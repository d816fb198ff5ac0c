"""A small transformer encoder for texts, under label attention."""

import torch
from torch import Tensor, nn

from workers.models.attention import PADDING, LabelAttention


class TextTransformer(nn.Module):
    """Embedding with learnt positions, encoder layers (Vaswani et al. 2017), label attention.

    Normalisation comes before each layer (Xiong et al. 2020), so that no warm-up is needed.

    Args:
        labels: Number of logits.
        vocabulary: Number of tokens, padding and unknown among them.
        max_tokens: Length of the longest text; must be that of the package's tokenisation.
        width: Features of a token.
        heads: Attention heads of a layer; divides `width`.
        layers: Number of encoder layers.
        dropout: Share of features set to zero in training.
    """

    def __init__(
        self,
        labels: int,
        *,
        vocabulary: int,
        max_tokens: int,
        width: int = 96,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.positions = nn.Embedding(max_tokens, width)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = LabelAttention(width, labels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, length) to logits (n, labels)."""
        return self.attend(tokens)[0]

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens (n, length) to logits (n, labels) and attention (n, labels, length)."""
        is_token = tokens != PADDING
        places = torch.arange(tokens.shape[1], device=tokens.device)
        embedded = self.dropout(self.embedding(tokens) + self.positions(places))
        states = self.encoder(embedded, src_key_padding_mask=~is_token)
        logits, attention = self.head(states, is_token)
        return logits, attention
