"""An ONNX file as a network: ONNX Runtime on the CPU, with tensors of torch at either end.

ONNX holds no code, but it may point at files beside it; those are refused, since nobody has
verified them.
"""

from collections.abc import Iterator

import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data
from onnxruntime.capi import onnxruntime_pybind11_state as faults
from torch import Tensor, nn

from medqueue.errors import PackageError

_FAULTS = (
    faults.Fail,
    faults.InvalidArgument,
    faults.InvalidGraph,
    faults.InvalidProtobuf,
    faults.NotImplemented,
    faults.RuntimeException,
)
"""They have no base of their own."""


class OnnxNetwork(nn.Module):
    """Maps a batch (n, 1, rows, columns) to logits (n, labels), as a network of torch does.

    It has no layers to look into: no gate on its features and no saliency.

    Args:
        content: The verified bytes of the file.
        name: What errors call it.

    Raises:
        PackageError: it is no ONNX, points at other files, or has not one input and one output.
    """

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__()
        _refuse_other_files(content, name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        # Idle threads that wait by spinning would take the cores of the other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except _FAULTS as error:
            raise PackageError(
                f"{name}: ONNX Runtime cannot load it: {_first_line(error)}"
            ) from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if (len(inputs), len(outputs)) != (1, 1):
            raise PackageError(
                f"{name}: has {len(inputs)} inputs and {len(outputs)} outputs; needed are the "
                "images (n, 1, rows, columns) float32, and the logits (n, labels)"
            )
        self._input = inputs[0].name

    def forward(self, images: Tensor) -> Tensor:
        """Run it; raises RuntimeError for an input that it does not take, as torch does."""
        try:
            (logits,) = self._session.run(None, {self._input: images.cpu().numpy()})
        except _FAULTS as error:
            raise RuntimeError(_first_line(error)) from None
        return torch.from_numpy(logits).to(images.device)


def _refuse_other_files(content: bytes, name: str) -> None:
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise PackageError(f"{name}: is not ONNX") from error
    graphs = [model.graph, *model.functions]
    if any(uses_external_data(tensor) for graph in graphs for tensor in _tensors(graph)):
        raise PackageError(
            f"{name}: keeps tensors in other files, which no digest covers; save it as one file"
        )


def _tensors(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of a graph and of the graphs in its nodes."""
    if isinstance(graph, onnx.GraphProto):
        yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
