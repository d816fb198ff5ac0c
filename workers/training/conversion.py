"""From a torch network to ONNX, in float or in 8-bit integers; `export` judges what comes out."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from medqueue.errors import ConfigurationError

_CALIBRATION_BATCH = 16
_INPUT = "images"


def to_onnx(network: nn.Module, shape: tuple[int, ...]) -> bytes:
    """Return the network as ONNX, for any number of images of a shape (planes, rows, columns)."""
    example = torch.zeros(2, *shape)
    batch = torch.export.Dim("batch")
    # It tells of operators of torchvision, which nobody here has.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns of its own use of what torch is about to give up.
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: batch},),
                input_names=[_INPUT],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"this network cannot be written as ONNX: {reason}") from error
    if program is None:
        raise AssertionError("with dynamo=True the exporter returns a program")
    return bytes(program.model_proto.SerializeToString())


def to_int8(onnx_file: bytes, images: NDArray[np.float32]) -> bytes:
    """Quantise an ONNX network: weights and activations of 8 bits, scales from prepared images.

    Static quantisation of ONNX Runtime, with a scale for each channel of a convolution.

    Args:
        onnx_file: As `to_onnx` gives it.
        images: (n, 1, rows, columns), such as the model will see: other images give other ranges.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, prepared, quantised = (Path(folder, name) for name in ("a", "b", "c"))
        given.write_bytes(onnx_file)
        # It joins convolutions with the normalisation after them, which otherwise loses the most.
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, quantised, _Images(images), per_channel=True)
        return quantised.read_bytes()


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Hands out the images in batches."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._batches: Iterator[NDArray[np.float32]] = iter(
            np.array_split(images, -(-len(images) // _CALIBRATION_BATCH))
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {_INPUT: batch}
