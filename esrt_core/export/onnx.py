"""ONNX: one file, weights and metadata inside, run by onnxruntime and others."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from esrt_core.export.card import program_card
from esrt_core.export.check import Run, largest_difference
from esrt_core.export.form import INPUT, OUTPUT, Form, capture
from esrt_core.weights.metadata import CheckpointMetadata


def write_onnx(form: Form, metadata: CheckpointMetadata, path: Path) -> float:
    """Write a program as ONNX and return its largest difference from the network, run by onnxruntime.

    Raises WeightsError where they differ, see largest_difference().
    """
    captured = capture(form)
    with _quiet_exporter():
        program = torch.onnx.export(captured, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT])
    if program is None:  # only the exporter without dynamo returns nothing
        raise AssertionError("torch.onnx.export returned no program")
    program.model.producer_name = "esrt"
    program.model.metadata_props.update(program_card(metadata, form))
    program.save(path, external_data=False)
    return largest_difference(onnx_runner(path), form)


def onnx_runner(path: Path) -> Run:
    """Return a function that runs an ONNX file on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of graphs that it can simplify
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})[0]


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter from warning that torchvision is missing, and of its own deprecations."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        registration.setLevel(level)
