"""ONNX files: one input, one output, and nothing outside of the file."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from medqueue.errors import PackageError
from workers.models.onnx_network import OnnxNetwork


def a_model(*, outputs: int = 1, external: bool = False) -> bytes:
    """Adds one to images of 2 by 2 and takes them as logits."""
    one = numpy_helper.from_array(np.ones(1, dtype=np.float32), "one")
    if external:
        one.ClearField("raw_data")
        one.data_location = TensorProto.EXTERNAL
        one.external_data.add(key="location", value="../../etc/passwd")
    shape = ["n", 1, 2, 2]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    names = [f"out{number}" for number in range(outputs)]
    nodes = [helper.make_node("Add", ["images", "one"], [name]) for name in names]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
    graph = helper.make_graph(nodes, "g", [images], given, [one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def in_a_branch(model: bytes) -> bytes:
    """Hide the graph in a branch of a node."""
    inner = onnx.load_model_from_string(model).graph
    node = helper.make_node("If", ["condition"], ["out0"], then_branch=inner, else_branch=inner)
    condition = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])
    graph = helper.make_graph([node], "outer", [condition], list(inner.output))
    return bytes(helper.make_model(graph).SerializeToString())


def test_a_file_runs_on_any_number_of_images() -> None:
    network = OnnxNetwork(a_model(), "m")

    for count in (1, 3):
        assert torch.equal(network(torch.zeros(count, 1, 2, 2)), torch.ones(count, 1, 2, 2))


@pytest.mark.parametrize("content", [b"", b"no model", a_model()[:-20]])
def test_what_is_no_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match=r"not ONNX|cannot load|inputs"):
        OnnxNetwork(content, "m")


@pytest.mark.parametrize("content", [a_model(external=True), in_a_branch(a_model(external=True))])
def test_tensors_in_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match="other files"):
        OnnxNetwork(content, "m")


def test_a_model_of_several_outputs_is_refused() -> None:
    with pytest.raises(PackageError, match="2 outputs"):
        OnnxNetwork(a_model(outputs=2), "m")


def test_an_input_of_another_shape_fails_as_in_torch() -> None:
    with pytest.raises(RuntimeError, match="dimension"):
        OnnxNetwork(a_model(), "m")(torch.zeros(1, 1, 3, 3))
