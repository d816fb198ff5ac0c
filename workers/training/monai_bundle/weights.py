"""The weights of a bundle in a network of the registry: tensors only, whatever the file holds."""

import io
import zipfile
from collections.abc import Mapping
from pickle import UnpicklingError  # noqa: TID251 - a name; nothing is unpickled by it

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from medqueue.errors import PackageError
from medqueue.storage.packages import MAX_WEIGHTS_BYTES
from workers.models.registry import build
from workers.training.monai_bundle.network import Network

_WRAPPINGS = ("model", "state_dict")
"""Under which MONAI's CheckpointSaver and Lightning keep the weights beside an optimiser."""
_DAMAGED = (
    UnpicklingError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    AssertionError,
)
"""What torch's loader raises, as a file is broken here or there."""
_KERNEL = 4
"""Axes of the kernels of a two-dimensional convolution."""


def load_weights(
    architecture: str,
    labels: int,
    parameters: Mapping[str, int | float | str | bool],
    state: Mapping[str, Tensor],
) -> nn.Module:
    """Build a network with these weights, in evaluation mode.

    Raises:
        PackageError: the weights are not those of this network.
    """
    # Without memory at first: arguments may name a network that is larger than the machine.
    with torch.device("meta"):
        wanted = {
            name: tensor.shape
            for name, tensor in build(architecture, labels, parameters).state_dict().items()
        }
    found = {name: tensor.shape for name, tensor in state.items()}
    wrong = sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    if wrong:
        raise PackageError(
            f"the weights are not of the network that network_def describes: {len(wrong)} tensors "
            f"are missing, left over or of another shape, such as {wrong[0][:80]}"
        )
    network = build(architecture, labels, parameters)
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise PackageError("the weights are not plain numbers that torch can copy") from error
    if not all(torch.isfinite(tensor).all() for tensor in network.state_dict().values()):
        raise PackageError("the weights hold values that are not finite numbers")
    return network.eval()


def named_here(state: Mapping[str, Tensor], network: Network, *, turned: bool) -> dict[str, Tensor]:
    """Return the tensors of a bundle under the names that they have here.

    Args:
        state: As the bundle has it.
        network: What it is of.
        turned: Exchange rows and columns of each kernel. The network then says of an image what it
            said of the image with rows and columns exchanged, as MONAI's LoadImage hands it over:
            steps, margins and pooling are the same along both axes.

    Raises:
        PackageError: it cannot be turned.
    """
    if turned and not network.turns:
        raise PackageError(
            f"transposed: a {network.architecture} has learnt each place of an image by itself and "
            "cannot be turned; ask for a bundle whose images are read with rows first"
        )
    return {
        f"{network.prefix}{name}": tensor.transpose(2, 3)
        if turned and tensor.ndim == _KERNEL
        else tensor
        for name, tensor in state.items()
        # Made by MONAI before 1.6 and used by no classifier; it drops them too.
        if ".cross_attn." not in name
    }


def read_state(name: str, content: bytes) -> dict[str, Tensor]:
    """Read the tensors of `model.safetensors` or `model.pt` by their names.

    Raises:
        PackageError: it is TorchScript, holds anything but tensors, or unfolds beyond the limit.
    """
    try:
        state = load_safetensors(content) if name.endswith(".safetensors") else _unpack(content)
    except SafetensorError as error:
        raise PackageError(f"models/{name}: is not safetensors: {error}") from error
    if sum(tensor.nbytes for tensor in state.values()) > MAX_WEIGHTS_BYTES:
        raise PackageError(f"models/{name}: holds more than {MAX_WEIGHTS_BYTES} bytes of tensors")
    return state


def _unpack(content: bytes) -> dict[str, Tensor]:
    """Read a file of `torch.save` by torch's loader for tensors alone, which runs no code."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise PackageError(
            "models/model.pt: is no file that torch.save has written since version 1.6; save the "
            "state dictionary anew, better as model.safetensors"
        ) from error
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise PackageError(
            "models/model.pt: is TorchScript, a program and not only weights; save the network's "
            "state_dict() instead"
        )
    if sum(member.file_size for member in members) > MAX_WEIGHTS_BYTES:
        raise PackageError(f"models/model.pt: unfolds into more than {MAX_WEIGHTS_BYTES} bytes")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise PackageError(
            "models/model.pt: holds more than tensors, or is damaged, and loading more could run "
            "code; save the network's state_dict() alone, better as model.safetensors "
            f"({type(error).__name__})"
        ) from error
    for wrapping in _WRAPPINGS:
        if isinstance(state, dict) and isinstance(state.get(wrapping), dict):
            state = state[wrapping]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout is torch.strided
        for name, tensor in state.items()
    ):
        raise PackageError("models/model.pt: is no state dictionary of names and dense tensors")
    return state
