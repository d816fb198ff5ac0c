"""Which network of the registry a bundle's `network_def` is, with the same parameters.

Its `_target_` is compared with names and its arguments with a schema; nothing is imported by name.
What an argument is if the bundle leaves it out is what MONAI 1.6 takes then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medqueue.errors import PackageError
from workers.models.monai_networks import DENSENETS, RESNETS

_HOME = "monai.networks.nets"
_PLANES = [64, 128, 256, 512]
_Parameters = dict[str, int | float | str | bool]


@dataclass(frozen=True, slots=True)
class Network:
    """A network that the registry builds with the weights of a bundle."""

    architecture: str
    parameters: _Parameters
    outputs: int
    """Scores that it gives."""
    prefix: str = ""
    """Of the names of its tensors here, before those that they have in the bundle."""
    turns: bool = True
    """Whether it reads an image with rows and columns exchanged once its kernels are so too."""


def describe(definition: Mapping[str, Any]) -> Network:
    """Return the network that a `network_def` of plain values describes.

    Raises:
        PackageError: no network of the registry is the same.
    """
    arguments = dict(definition)
    home, _, name = str(arguments.pop("_target_", None)).rpartition(".")
    kind, depth = _known(name) if not home or f"{home}.".startswith(f"{_HOME}.") else (None, None)
    if kind is None:
        raise PackageError(
            f"network_def._target_ is {str(definition.get('_target_'))[:80]!r}; imported are "
            "MONAI's DenseNet121, 169 and 201, resnet10, 18, 34 and 50, and ViT; and any network "
            "that answers with logits, if the bundle has models/model.onnx alone"
        )
    _refuse_other_images(arguments)
    try:
        return kind.model_validate(arguments).network(depth)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise PackageError(f"network_def: {faults}") from error


def _refuse_other_images(arguments: Mapping[str, Any]) -> None:
    dimensions = arguments.get("spatial_dims", 3)
    if dimensions != 2:  # noqa: PLR2004 - rows and columns
        raise PackageError(
            f"network_def: spatial_dims is {dimensions!r} (3 where nothing is said); only networks "
            "for two-dimensional images are imported"
        )
    channels = arguments.get("in_channels", arguments.get("n_input_channels", 3))
    if channels != 1:
        raise PackageError(
            f"network_def: the network reads images of {channels!r} channels (3 where nothing is "
            "said); those of medqueue have one, of grey values"
        )


def _bare_name(value: object) -> object:
    """Return the name of a layer, in small letters, if its arguments change no output."""
    match value:
        case str():
            return value.lower()
        case [str(name)] | [str(name), {"inplace": bool()}]:
            return name.lower()
    return value


def _one_size(value: object) -> object:
    return value[0] if isinstance(value, list) and len(set(map(repr, value))) == 1 else value


_Size = Annotated[int, Field(ge=1, le=4096)]
"""More is no network that anybody has trained, and would only fill memory."""
_Side = Annotated[_Size, BeforeValidator(_one_size)]
"""The same for rows and columns."""
_Share = Annotated[float, Field(ge=0, lt=1)]
_Activation = Annotated[Literal["relu"], BeforeValidator(_bare_name)]
_Norm = Annotated[Literal["batch"], BeforeValidator(_bare_name)]


class _Arguments(BaseModel):
    """Keyword arguments of a network, those that the registry does not vary pinned to a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    spatial_dims: Literal[2]

    def network(self, depth: int | None) -> Network:
        raise NotImplementedError


class _DenseNet(_Arguments):
    in_channels: Literal[1]
    out_channels: _Size
    init_features: _Size = 64
    growth_rate: _Size = 32
    block_config: list[int] | None = None
    bn_size: Literal[4] = 4
    act: _Activation = "relu"
    norm: _Norm = "batch"
    dropout_prob: _Share = 0.0
    # What is downloaded then is written over by the bundle's own weights.
    pretrained: bool = False
    progress: bool = True

    def network(self, depth: int | None) -> Network:
        blocks = self.block_config or list(DENSENETS[depth or 121])
        known = next(
            (at for at, plan in DENSENETS.items() if blocks == [*plan[: len(blocks)]]), None
        )
        if known is None:
            raise PackageError(
                f"network_def.block_config: {blocks} is not of DenseNet121, 169, 201"
            )
        parameters: _Parameters = {
            "depth": known,
            "width": self.init_features,
            "growth": self.growth_rate,
            "stages": len(blocks),
            "dropout": self.dropout_prob,
        }
        return Network("densenet", parameters, self.out_channels)


class _ResNet(_Arguments):
    n_input_channels: Literal[1]
    num_classes: _Size = 400
    block: Literal["basic", "bottleneck"] | None = None
    layers: list[int] | None = None
    block_inplanes: list[_Size] = Field(default=_PLANES, min_length=4, max_length=4)
    widen_factor: float = Field(default=1.0, gt=0, le=64)
    conv1_t_size: _Side = 7
    conv1_t_stride: _Side = 1
    no_max_pool: bool = False
    shortcut_type: Literal["B"] = "B"
    feed_forward: Literal[True] = True
    bias_downsample: Literal[True] = True
    act: _Activation = "relu"
    norm: _Norm = "batch"
    pretrained: Literal[False] = False
    progress: bool = True

    def network(self, depth: int | None) -> Network:
        if depth is None:
            plans: dict[tuple[str, tuple[int, ...]], int] = {
                (block, plan): known for known, (block, plan) in RESNETS.items()
            }
            depth = plans.get((str(self.block), tuple(self.layers or ())))
            if depth is None:
                raise PackageError("network_def: block and layers are not of ResNet 10, 18, 34, 50")
        planes = [int(channels * self.widen_factor) for channels in self.block_inplanes]
        if planes != [planes[0] * 2**stage for stage in range(len(planes))]:
            raise PackageError(f"network_def: the channels {planes} do not double at each stage")
        stems: dict[tuple[int, int, bool], _Parameters] = {
            (3, 1, True): {"small_images": True},
            (7, 2, False): {},
            (7, 1, False): {"stride": 1},
        }
        begins = (self.conv1_t_size, self.conv1_t_stride, self.no_max_pool)
        if begins not in stems:
            raise PackageError(
                f"network_def: conv1_t_size, conv1_t_stride and no_max_pool are {begins}; "
                f"built are {', '.join(map(str, stems))}"
            )
        parameters: _Parameters = {"depth": depth, "width": planes[0]}
        return Network("resnet", parameters | stems[begins], self.num_classes)


class _Vit(_Arguments):
    in_channels: Literal[1]
    img_size: _Side
    patch_size: _Side
    hidden_size: _Size = 768
    mlp_dim: _Size = 3072
    num_layers: _Size = 12
    num_heads: _Size = 12
    proj_type: Literal["conv"] = "conv"
    pos_embed_type: Literal["learnable"] = "learnable"
    classification: Literal[True]
    num_classes: _Size = 2
    dropout_rate: _Share = 0.0
    post_activation: str | None = "Tanh"
    qkv_bias: Literal[False] = False
    save_attn: bool = False

    def network(self, depth: int | None) -> Network:
        del depth  # its layers are counted by an argument
        if self.post_activation == "Tanh":
            raise PackageError(
                "network_def: post_activation is Tanh (also where nothing is said), and what comes "
                "out of it are no logits"
            )
        if self.mlp_dim != 4 * self.hidden_size:
            raise PackageError("network_def: mlp_dim must be four times hidden_size")
        parameters: _Parameters = {
            "size": self.img_size,
            "patch": self.patch_size,
            "width": self.hidden_size,
            "heads": self.num_heads,
            "layers": self.num_layers,
            "dropout": self.dropout_rate,
        }
        return Network(
            "vision-transformer", parameters, self.num_classes, prefix="encoder.", turns=False
        )


def _known(name: str) -> tuple[type[_Arguments] | None, int | None]:
    """Return the arguments of a network of MONAI, and the depth that its name says."""
    kinds: dict[str, tuple[type[_Arguments], int | None]] = {
        "densenet": (_DenseNet, None),
        "resnet": (_ResNet, None),
        "vit": (_Vit, None),
    }
    kinds |= {f"densenet{depth}": (_DenseNet, depth) for depth in DENSENETS}
    kinds |= {f"resnet{depth}": (_ResNet, depth) for depth in RESNETS}
    return kinds.get(name.lower(), (None, None))
