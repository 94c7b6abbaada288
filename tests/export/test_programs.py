"""Programs in use, as other people's code would run them: the file, its runtime and arrays."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from esrt_core.export.programs import CARD
from esrt_core.model.transformer import Windows
from tests.export.conftest import Exports, Program

pytestmark = pytest.mark.slow
SIZES = [(1, 4, 4), (1, 11, 5), (3, 7, 14), (1, 37, 23), (1, 24, 32)]  # 55, 98, 851 and 768 px: every rest by 4


def reference(program: Program, images: np.ndarray, windows: Windows = (1, 1)) -> np.ndarray:
    with torch.inference_mode():
        result: np.ndarray = program.network(torch.from_numpy(images), windows).numpy()
        return result


def noise(batch: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).random((batch, 3, height, width), np.float32)


def test_onnx_takes_every_size_and_equals_the_network(exported: Exports) -> None:
    program = exported("any.onnx")
    session = onnxruntime.InferenceSession(program.path, providers=["CPUExecutionProvider"])
    for size in SIZES:
        enlarged = session.run(["enlarged"], {"image": noise(*size)})[0]
        np.testing.assert_allclose(enlarged, reference(program, noise(*size)), rtol=0, atol=2e-5)
        assert enlarged.dtype == np.float32


def test_onnx_is_one_valid_file_that_says_what_it_is(exported: Exports) -> None:
    path = exported("any.onnx").path
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    assert all(not tensor.external_data for tensor in model.graph.initializer)
    card = {entry.key: entry.value for entry in model.metadata_props}
    assert (card["architecture"], card["scale"], card["windows"]) == ("ESRT", "2", "1 x 1")
    assert card["input"] == "float32, batch x 3 x height x width, RGB, 0 to 1"
    assert "not clamped" in card["output"]
    assert "licence" in card
    image = model.graph.input[0].type.tensor_type
    sides = [side.dim_value or side.dim_param for side in image.shape.dim]
    assert sides[1] == 3
    assert all(isinstance(sides[axis], str) for axis in (0, 2, 3))
    assert image.elem_type == onnx.TensorProto.FLOAT


def test_pt2_takes_every_size_and_equals_the_network(exported: Exports) -> None:
    program = exported("any.pt2")
    files = {CARD: ""}
    module = torch.export.load(program.path, extra_files=files).module()
    for size in SIZES:
        enlarged = module(torch.from_numpy(noise(*size))).detach().numpy()
        np.testing.assert_allclose(enlarged, reference(program, noise(*size)), rtol=0, atol=1e-5)
    assert json.loads(files[CARD])["scale"] == "2"


def test_pt2_refuses_a_side_below_four_px(exported: Exports) -> None:
    module = torch.export.load(exported("any.pt2").path).module()
    with pytest.raises(AssertionError, match=r"[Gg]uard"):
        module(torch.zeros(1, 3, 3, 9))


def test_a_tile_has_the_windows_of_the_engine(exported: Exports) -> None:
    program = exported("tile.onnx", tile=96)
    session = onnxruntime.InferenceSession(program.path, providers=["CPUExecutionProvider"])
    enlarged = session.run(None, {"image": noise(2, 96, 96)})[0]
    np.testing.assert_allclose(enlarged, reference(program, noise(2, 96, 96), (2, 2)), rtol=0, atol=2e-5)
    assert np.abs(enlarged - reference(program, noise(2, 96, 96))).max() > 1e-3  # the windows are there
    card = session.get_modelmeta().custom_metadata_map
    assert (card["windows"], card["size"], card["halo"]) == ("2 x 2", "96 x 96 px", "6 px")


def test_the_result_says_how_it_was_checked(exported: Exports) -> None:
    said = exported("any.onnx").said
    assert (said.format, said.scale, said.tile) == ("onnx", 2, None)
    assert {height * width % 4 for _, height, width in said.shapes} == {0, 1, 2, 3}
    assert 0 <= said.difference < 1e-4
    assert said.bytes == exported("any.onnx").path.stat().st_size
