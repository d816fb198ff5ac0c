"""The network of a torch package: its architecture with its verified weights.

Apart from `package`, so that a worker that only reads texts need not load torch.
"""

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import nn

from medqueue.errors import PackageError
from schemas.manifest import Engine
from workers.models.package import Package
from workers.models.registry import build


def build_network(package: Package) -> nn.Module:
    """Build the network of a package with its weights, in evaluation mode, on the CPU."""
    manifest = package.manifest
    if manifest.engine is Engine.ONNX:
        from workers.models.onnx_network import OnnxNetwork  # onnx: few packages need it

        return OnnxNetwork(package.weights, manifest.name)
    if manifest.engine is not Engine.TORCH:
        raise PackageError(f"{manifest.name}: its engine is {manifest.engine}, not {Engine.TORCH}")
    if not manifest.weights.endswith(".safetensors"):
        raise PackageError(
            f"{manifest.name}: {manifest.weights} is not safetensors; pickled weights can run code "
            "and are never loaded: convert them with safetensors.torch.save_file"
        )
    network = build(manifest.architecture, len(manifest.labels), manifest.parameters)
    try:
        state = load_safetensors(package.weights)
        network.load_state_dict(state)
    except (SafetensorError, RuntimeError, KeyError) as error:
        # torch lists every tensor that does not fit; the first line says what is wrong.
        reason = str(error).splitlines()[0]
        raise PackageError(
            f"{manifest.name}: the weights do not fit {manifest.architecture!r}: {reason}"
        ) from error
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise PackageError(f"{manifest.name}: the weights hold values that are not finite numbers")
    return network.eval()
