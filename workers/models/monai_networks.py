"""Networks of MONAI in two and three dimensions, under names and parameters of a manifest.

MONAI takes two seconds to import, so it is imported when one of them is built.
"""

from collections.abc import Mapping
from typing import TypeVar, cast

from torch import Tensor, nn

_Plan = TypeVar("_Plan")

RESNETS = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
}
"""Blocks and their number per stage (He et al. 2016, table 1; 10 as in Chen et al. 2019)."""
DENSENETS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
"""Layers of each dense block (Huang et al. 2017, table 1)."""
# Changing a tensor in place would take away what a saliency method has to look at.
_ACTIVATION = ("relu", {"inplace": False})


def build_resnet(
    labels: int,
    *,
    dimensions: int = 2,
    depth: int = 18,
    width: int = 64,
    small_images: bool = False,
    stride: int = 2,
) -> nn.Module:
    """Build a residual network for (n, 1, rows, columns) or (n, 1, slices, rows, columns).

    Args:
        labels: Number of logits.
        dimensions: 2 or 3.
        depth: 10, 18, 34 or 50 layers.
        width: Channels of the first stage; each later stage doubles them.
        small_images: Begin with a 3x3 convolution and no pooling, for images of some 30 pixels.
        stride: Of the first convolution otherwise; 1 is what MONAI itself begins with.
    """
    from monai.networks.nets.resnet import ResNet

    block, blocks = _chosen(RESNETS, depth)
    return ResNet(
        block,
        list(blocks),
        [width * 2**stage for stage in range(len(blocks))],
        spatial_dims=_spatial(dimensions),
        n_input_channels=1,
        conv1_t_size=3 if small_images else 7,
        conv1_t_stride=1 if small_images else stride,
        no_max_pool=small_images,
        num_classes=labels,
        act=_ACTIVATION,
    )


def build_densenet(
    labels: int,
    *,
    dimensions: int = 2,
    depth: int = 121,
    width: int = 64,
    growth: int = 32,
    stages: int = 4,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a densely connected network for images or volumes of one channel.

    Args:
        labels: Number of logits.
        dimensions: 2 or 3.
        depth: 121, 169 or 201 layers.
        width: Channels of the first convolution.
        growth: Channels that each layer adds.
        stages: Use so many of the four dense blocks; three are enough for images of 28 pixels.
        dropout: Share of each layer's features set to zero in training.
    """
    from monai.networks.nets.densenet import DenseNet

    blocks = _chosen(DENSENETS, depth)
    if not 1 <= stages <= len(blocks):
        raise ValueError(f"stages is 1 to {len(blocks)}, not {stages}")
    return DenseNet(
        spatial_dims=_spatial(dimensions),
        in_channels=1,
        out_channels=labels,
        init_features=width,
        growth_rate=growth,
        block_config=blocks[:stages],
        act=_ACTIVATION,
        dropout_prob=dropout,
    )


class VisionTransformer(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021) that gives the logits of its class token.

    Args:
        labels: Number of logits.
        size: Pixels of a side of the prepared image; a multiple of `patch`.
        patch: Pixels of a side of a patch.
        dimensions: 2 or 3; every side has `size` pixels.
        width: Features of a patch.
        heads: Attention heads of a layer; divides `width`.
        layers: Number of encoder layers.
        dropout: Share of features set to zero in training.
    """

    def __init__(
        self,
        labels: int,
        *,
        size: int,
        patch: int,
        dimensions: int = 2,
        width: int = 96,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.0,
    ) -> None:
        from monai.networks.nets.vit import ViT

        super().__init__()
        if size % patch:
            raise ValueError(f"a side of {size} pixels is no whole number of patches of {patch}")
        self.encoder = ViT(
            in_channels=1,
            img_size=size,
            patch_size=patch,
            hidden_size=width,
            mlp_dim=4 * width,
            num_layers=layers,
            num_heads=heads,
            classification=True,
            num_classes=labels,
            dropout_rate=dropout,
            spatial_dims=_spatial(dimensions),
            post_activation="none",
        )
        # Made by MONAI for cross-attention, and used without it by nobody.
        for name, value in self.encoder.named_parameters():
            if "cross_attn" in name:
                value.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 1, size, size) or volumes (n, 1, size, size, size) to logits."""
        logits, _ = self.encoder(images)
        return cast("Tensor", logits)


def _chosen(table: Mapping[int, _Plan], depth: int) -> _Plan:
    if depth not in table:
        raise ValueError(f"depth is one of {', '.join(map(str, table))}, not {depth}")
    return table[depth]


def _spatial(dimensions: int) -> int:
    if dimensions not in (2, 3):
        raise ValueError(f"dimensions is 2 or 3, not {dimensions}")
    return dimensions
