"""A small residual convolutional network for small grey images; it knows nothing of weights files.

Basic blocks as in He et al. 2016, 'Deep Residual Learning for Image Recognition', with the stem for
small images of that paper's CIFAR networks: a 3x3 convolution and no pooling.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation around a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, channels_in, r, c) to (n, channels_out, r / stride, c / stride)."""
        inner = functional.relu(self.first_norm(self.first(images)))
        inner = self.second_norm(self.second(inner))
        return functional.relu(inner + cast("Tensor", self.shortcut(images)))


class ResidualCnn(nn.Module):
    """Three stages of residual blocks, global average pooling, one logit per label.

    With `width` 32 and `blocks` 2 it has 0.69 million parameters.

    Args:
        labels: Number of logits.
        width: Channels of the first stage; each later stage doubles them and halves the image.
        blocks: Residual blocks per stage.
        dropout: Share of pooled features set to zero in training.
        mirror: In evaluation mode, average the logits of the image and of its mirror image. That
            is part of the model, so that training and queue cannot differ in it.
    """

    def __init__(
        self, labels: int, *, width: int = 32, blocks: int = 2, dropout: float = 0.0, mirror: bool
    ) -> None:
        super().__init__()
        self.mirror = mirror
        self.stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        channels = width
        for stage in range(3):
            channels_out = width * 2**stage
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(ResidualBlock(channels, channels_out, stride))
                channels = channels_out
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, labels)

    def forward(self, images: Tensor) -> Tensor:
        """Map prepared images (n, 1, rows, columns) to logits (n, labels)."""
        logits = self._logits(images)
        if self.mirror and not self.training:
            logits = (logits + self._logits(images.flip(-1))) / 2
        return logits

    def _logits(self, images: Tensor) -> Tensor:
        features = functional.relu(self.stem_norm(self.stem(images)))
        pooled = self.stages(features).mean(dim=(-2, -1))
        return cast("Tensor", self.head(self.dropout(pooled)))
