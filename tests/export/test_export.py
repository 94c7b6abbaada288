"""What is refused before the work, what is checked after it, and the weights' formats.

The authors' format, against the modules of their published code, written down here independently of our names.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from esrt_core.errors import OptionError, TargetError, WeightsError
from esrt_core.export import export as export_module
from esrt_core.export.export import export_network
from esrt_core.export.options import ExportOptions
from esrt_core.export.programs import largest_difference, tile_form, whole_form
from esrt_core.model import blocks
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.checkpoint import load_checkpoint, save_checkpoint
from esrt_core.weights.header import CheckpointMetadata
from tests.conftest import WeightsOf, file_size_limit


@pytest.fixture
def network() -> ESRT:
    torch.manual_seed(1)
    return ESRT(ESRTConfig(2, channels=16, blocks=1)).eval()


@pytest.mark.parametrize(
    ("name", "format_", "tile", "message"),
    [
        ("a.bin", None, None, "cannot tell the format from a.bin; choose --format onnx, pt2, safetensors, authors"),
        ("a.pt2", "torchscript", None, "unknown format 'torchscript'; choose one of onnx, pt2, safetensors, authors"),
        ("a.pt2", "onnx", None, "a.pt2: --format onnx needs a file ending in .onnx"),
        ("a.onnx", "authors", None, "a.onnx: --format authors needs a file ending in .pth or .pt"),
        ("a.pth", None, 48, "--tile is only for onnx and pt2: --format authors writes only weights"),
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
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else object())
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
    with pytest.raises(WeightsError, match="was not written correctly; nothing was kept"):
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


@pytest.mark.slow
def test_a_program_that_differs_is_refused(network: ESRT) -> None:
    form = tile_form(network, 48)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            result: np.ndarray = network(torch.from_numpy(images), form.windows).numpy()
            return result

    assert largest_difference(run, form) == 0
    with pytest.raises(WeightsError, match=r"differs from the network by 1\.0e-02 at 1 x 3 x 48 x 48"):
        largest_difference(lambda images: run(images) + np.float32(0.01), form)
    with pytest.raises(WeightsError, match="differs from the network by nan"):
        largest_difference(lambda images: run(images) * np.float32("nan"), form)
    with pytest.raises(WeightsError, match=r"makes \(1, 3, 96, 95\)"):
        largest_difference(lambda images: run(images)[..., 1:], form)


Shapes = dict[str, tuple[int, ...]]
C, D = 32, 288  # channels, width of a token
PARAMETERS = {2: 677_783, 3: 770_263, 4: 751_767}


def conv(outputs: int, inputs: int, kernel: int, bias: bool = True) -> Shapes:
    return {"weight": (outputs, inputs, kernel, kernel)} | ({"bias": (outputs,)} if bias else {})


def linear(outputs: int, inputs: int, bias: bool = True) -> Shapes:
    return {"weight": (outputs, inputs)} | ({"bias": (outputs,)} if bias else {})


def inside(**parts: Shapes) -> Shapes:
    """Put parts under names, in which two underscores are a dot."""
    return {
        f"{part.replace('__', '.')}.{name}": shape for part, shapes in parts.items() for name, shape in shapes.items()
    }


SCALAR: Shapes = {"scale": (1,)}
ATTENTION = inside(conv_du__0=conv(C // 16, C, 1), conv_du__2=conv(C, C // 16, 1))
UNIT = inside(
    conv=conv(C // 2, C, 3), relu={"weight": (C // 2,)}, conv1=conv(C, C // 2, 3), weight1=SCALAR, weight2=SCALAR
)
FUSION = inside(conv=conv(C, 2 * C, 1, bias=False))
ARFB = inside(
    layer1=UNIT, layer2=UNIT, alise=FUSION, atten=ATTENTION, layer4=inside(conv=conv(C, C, 3, bias=False)),
    **{f"weight{index}": SCALAR for index in range(1, 6)},
)  # fmt: skip
HPB = inside(encoder=ARFB, decoder_low=ARFB, decoder_high=ARFB, alise=ARFB, alise2=FUSION, att=ATTENTION)
TRANSFORMER = inside(
    norm1={"weight": (D,), "bias": (D,)}, norm2={"weight": (D,), "bias": (D,)},
    atten=inside(reduce=linear(144, D, bias=False), qkv=linear(432, 144, bias=False), proj=linear(D, 144)),
    mlp=inside(fc1=linear(72, D), fc2=linear(D, 72)),
)  # fmt: skip
BODY = inside(
    encoder1=HPB, encoder2=HPB, encoder3=HPB, reduce=conv(C, 3 * C, 3), attention=TRANSFORMER, alise=conv(C, C, 3),
    weight1=SCALAR, weight2=SCALAR,
)  # fmt: skip


def authors_shapes(scale: int) -> Shapes:
    """Return names and shapes of the state_dict of the authors' network."""
    factors = {2: [2], 3: [3], 4: [2, 2]}[scale]
    steps = {f"0__{2 * index}": conv(C * factor**2, C, 3) for index, factor in enumerate(factors)}
    tail = inside(**steps, **{"1": conv(3, C, 3)})
    up = inside(**steps, **{"1__conv": conv(3, C, 3, bias=False)})
    return inside(head__0=conv(C, 3, 3), body__0=BODY, reduce=conv(C, C, 3), tail=tail, up=up)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_names_and_shapes_are_those_of_the_authors(tmp_path: Path, scale: int) -> None:
    torch.manual_seed(scale)
    network = ESRT(ESRTConfig(scale))
    save_checkpoint(network, tmp_path / "ours.safetensors", CheckpointMetadata(scale))
    export_network(ExportOptions(tmp_path / "theirs.pth", model=str(tmp_path / "ours.safetensors")))
    state = torch.load(tmp_path / "theirs.pth", weights_only=True)
    assert type(state) is dict
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == authors_shapes(scale)
    assert sum(tensor.numel() for tensor in state.values()) == PARAMETERS[scale]
    assert all(tensor.dtype == torch.float32 for tensor in state.values())


def test_what_was_exported_is_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ESRT(ESRTConfig(2)).eval()
    save_checkpoint(network, tmp_path / "ours.safetensors", CheckpointMetadata(2))
    export_network(ExportOptions(tmp_path / "theirs.pth", model=str(tmp_path / "ours.safetensors")))
    images = torch.rand(1, 3, 8, 9)
    with torch.inference_mode():
        assert load_checkpoint(tmp_path / "theirs.pth").network(images).equal(network(images))
    state = torch.load(tmp_path / "theirs.pth", weights_only=True)
    first, last = network.lcb.hpb[0], network.lcb.hpb[2]
    assert isinstance(first, blocks.HPB)
    assert isinstance(last, blocks.HPB)
    pairs = {  # a few that have only one possible place
        "body.0.encoder3.decoder_low.layer2.weight1.scale": last.arfb_low.ru2.m1,
        "body.0.attention.atten.qkv.weight": network.ltb.et.emha.qkv.weight,
        "up.1.conv.weight": network.up.last.weight,
        "body.0.encoder1.alise2.conv.weight": first.fuse.weight,
    }
    assert all(state[name].equal(tensor) for name, tensor in pairs.items())


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_full_disk_is_one_line_that_names_the_target(weights_of: WeightsOf, tmp_path: Path, name: str) -> None:
    options = ExportOptions(tmp_path / name, None, str(weights_of(2)))
    with (
        file_size_limit(1000),
        pytest.raises(TargetError, match=f"^{tmp_path / name} cannot be written: "),
    ):
        export_network(options)
    assert list(tmp_path.iterdir()) == []
