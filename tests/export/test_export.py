"""What is refused before the work, what is checked after it, and the weights' formats."""

from pathlib import Path

import numpy as np
import pytest
import torch

from esrt_core.errors import OptionError, TargetError, WeightsError
from esrt_core.export import export as export_module
from esrt_core.export.check import largest_difference
from esrt_core.export.export import export_network
from esrt_core.export.form import tile_form, whole_form
from esrt_core.export.options import ExportOptions
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.checkpoint import load_checkpoint
from tests.conftest import WeightsOf


@pytest.fixture
def network() -> ESRT:
    torch.manual_seed(1)
    return ESRT(ESRTConfig(2, channels=16, blocks=1)).eval()


@pytest.mark.parametrize(
    ("name", "format_", "tile", "message"),
    [
        ("a.bin", None, None, "a.bin does not say its format; give --format onnx, pt2, safetensors, authors"),
        ("a.pt2", "torchscript", None, "unknown format 'torchscript': expected onnx, pt2, safetensors, authors"),
        ("a.pt2", "onnx", None, "a.pt2: a file for --format onnx ends in .onnx"),
        ("a.onnx", "authors", None, "a.onnx: a file for --format authors ends in .pth or .pt"),
        ("a.pth", None, 48, "--tile is for onnx and pt2: a file for --format authors holds weights alone"),
        ("a.onnx", None, 47, "--tile must be from 48 to 512 px, not 47"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, format_: str | None, tile: int | None, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        ExportOptions(Path(name), format_, tile=tile)
    assert str(caught.value) == message


def test_missing_packages_are_named_with_their_extra(
    tmp_path: Path, weights_of: WeightsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        export_module.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else object()
    )
    with pytest.raises(OptionError, match=r'--format onnx needs onnxruntime: pip install "\.\[export\]"'):
        export_network(ExportOptions(tmp_path / "a.onnx", model=str(weights_of(2))))


def test_a_target_that_exists_is_kept(tmp_path: Path, weights_of: WeightsOf) -> None:
    target = tmp_path / "a.pth"
    target.write_bytes(b"mine")
    with pytest.raises(TargetError, match="exists"):
        export_network(ExportOptions(target, model=str(weights_of(2))))
    assert target.read_bytes() == b"mine"
    export_network(ExportOptions(target, model=str(weights_of(2)), overwrite=True))
    assert load_checkpoint(target).metadata.scale == 2


def test_the_weights_themselves_are_never_overwritten(tmp_path: Path, weights_of: WeightsOf) -> None:
    source = tmp_path / "a.safetensors"
    source.write_bytes(weights_of(2).read_bytes())
    with pytest.raises(TargetError, match="is the input itself"):
        export_network(ExportOptions(source, model=str(source), overwrite=True))


def test_nothing_is_left_when_the_result_is_not_the_network(
    tmp_path: Path, weights_of: WeightsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_something(network: ESRT, path: Path) -> None:
        state = {name: tensor + 1e-3 for name, tensor in network.state_dict().items()}
        torch.save(state, path)

    monkeypatch.setattr(export_module, "write_authors", write_something)
    with pytest.raises(WeightsError, match="was not written as it is; nothing was kept"):
        export_network(ExportOptions(tmp_path / "a.pth", model=str(weights_of(2))))
    assert list(tmp_path.iterdir()) == []


def test_safetensors_keep_numbers_and_metadata(tmp_path: Path, weights_of: WeightsOf) -> None:
    said = export_network(ExportOptions(tmp_path / "a.safetensors", model=str(weights_of(3))))
    before, after = load_checkpoint(weights_of(3)), load_checkpoint(tmp_path / "a.safetensors")
    assert after.metadata == before.metadata
    state = after.network.state_dict()
    assert all(state[name].equal(tensor) for name, tensor in before.network.state_dict().items())
    assert (said.scale, said.shapes, said.difference) == (3, (), 0)


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (6, 7), (8, 10), (9, 13)])
def test_the_form_for_any_size_equals_the_network(network: ESRT, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    with torch.inference_mode():
        torch.testing.assert_close(whole_form(network).program(images), network(images), rtol=0, atol=1e-6)


def test_the_network_itself_is_not_changed(network: ESRT) -> None:
    names = list(network.state_dict())
    whole_form(network)
    assert list(network.state_dict()) == names


def test_a_program_that_differs_is_refused(network: ESRT) -> None:
    form = tile_form(network, 48)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(images), form.windows).numpy()

    assert largest_difference(run, form) == 0
    with pytest.raises(WeightsError, match=r"differs from the network by 1\.0e-02 at 1 x 3 x 48 x 48"):
        largest_difference(lambda images: run(images) + np.float32(0.01), form)
    with pytest.raises(WeightsError, match="differs from the network by nan"):
        largest_difference(lambda images: run(images) * np.float32("nan"), form)
    with pytest.raises(WeightsError, match=r"makes \(1, 3, 96, 95\)"):
        largest_difference(lambda images: run(images)[..., 1:], form)
