"""The authors' format, against the modules of their published code, written down here independently of our names."""

from pathlib import Path

import pytest
import torch

from esrt_core.export.export import export_network
from esrt_core.export.options import ExportOptions
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.checkpoint import load_checkpoint, save_checkpoint
from esrt_core.weights.metadata import CheckpointMetadata

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
    pairs = {  # a few that have only one possible place
        "body.0.encoder3.decoder_low.layer2.weight1.scale": network.lcb.hpb[2].arfb_low.ru2.m1,
        "body.0.attention.atten.qkv.weight": network.ltb.et.emha.qkv.weight,
        "up.1.conv.weight": network.up.last.weight,
        "body.0.encoder1.alise2.conv.weight": network.lcb.hpb[0].fuse.weight,
    }
    assert all(state[name].equal(tensor) for name, tensor in pairs.items())
