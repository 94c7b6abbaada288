"""Weights files that are right, and all the ways in which they are wrong."""

import json
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from esrt_core.errors import WeightsError
from esrt_core.model import ESRT, ESRTConfig
from esrt_core.weights.checkpoint import load_checkpoint, save_checkpoint
from esrt_core.weights.detect import authors_name
from esrt_core.weights.header import CheckpointMetadata
from tests.conftest import quantized

State = dict[str, Tensor]


def same(first: ESRT, second: ESRT) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in first.state_dict().items())


def authors_state(network: ESRT, prefix: str = "") -> State:
    return {prefix + authors_name(name): tensor for name, tensor in network.state_dict().items()}


def refusal(path: Path) -> str:
    """Return the one sentence with which a file is refused."""
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_what_is_saved_is_loaded(weights: Path, network: ESRT, metadata: CheckpointMetadata) -> None:
    checkpoint = load_checkpoint(weights)
    assert same(checkpoint.network, network)
    assert checkpoint.metadata == metadata
    assert not checkpoint.network.training
    assert all(p.requires_grad and p.device.type == "cpu" for p in checkpoint.network.parameters())


@pytest.mark.parametrize("half", [False, True])
def test_channels_last_as_in_training_is_saved_as_any(
    tmp_path: Path, network: ESRT, metadata: CheckpointMetadata, half: bool
) -> None:
    path = tmp_path / "channels_last.safetensors"
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_checkpoint(network, path, metadata, half)
    for name, value in load_checkpoint(path).network.state_dict().items():
        assert torch.equal(value, before[name].half().float() if half else before[name])


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_papers_network_goes_through_a_file(tmp_path: Path, scale: int) -> None:
    network = ESRT(ESRTConfig(scale))
    save_checkpoint(network.state_dict(), tmp_path / "a.safetensors", CheckpointMetadata(scale))
    assert same(load_checkpoint(tmp_path / "a.safetensors").network, network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_load_as_float32(tmp_path: Path, network: ESRT, dtype: torch.dtype) -> None:
    path = tmp_path / "a.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in network.state_dict().items()}, path)
    loaded = load_checkpoint(path).network
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.head.weight, network.head.weight.to(dtype).float())


def test_half_takes_half_the_bytes(tmp_path: Path, network: ESRT, weights: Path, metadata: CheckpointMetadata) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(network, path, metadata, half=True)
    assert path.stat().st_size < 0.6 * weights.stat().st_size
    assert load_checkpoint(path).metadata == metadata


def test_half_refuses_what_it_cannot_hold(tmp_path: Path, network: ESRT, metadata: CheckpointMetadata) -> None:
    assert network.head.bias is not None
    with torch.no_grad():
        network.head.bias[0] = 1e6
    with pytest.raises(WeightsError, match=r"in float16: tensor head\.bias has 1 of 16 values"):
        save_checkpoint(network, tmp_path / "half.safetensors", metadata, half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_authors_names_load(tmp_path: Path, network: ESRT, prefix: str) -> None:
    save_file(authors_state(network, prefix), tmp_path / "a.safetensors")
    checkpoint = load_checkpoint(tmp_path / "a.safetensors")
    assert same(checkpoint.network, network)
    assert checkpoint.metadata == CheckpointMetadata(2, 16, 1)


WRAPPERS: list[Callable[[State], object]] = [
    lambda state: state,
    lambda state: OrderedDict(state),
    lambda state: {"state_dict": state, "epoch": 3},
    lambda state: {"params": {}, "params_ema": state},
    lambda state: {"params": state},
    lambda state: {"model": {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}},
]


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("zipped", [True, False])
def test_pth_files_load_in_their_usual_wrappers(
    tmp_path: Path, network: ESRT, wrap: Callable[[State], object], zipped: bool
) -> None:
    path = tmp_path / "a.pth"
    torch.save(wrap(authors_state(network)), path, _use_new_zipfile_serialization=zipped)
    assert same(load_checkpoint(path).network, network)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("zipped", [True, False])
def test_no_pickle_runs_code(tmp_path: Path, network: ESRT, zipped: bool) -> None:
    marker = tmp_path / "ran"
    torch.save({**network.state_dict(), "x": Bomb(marker)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert "holds more than plain tensors (getattr), which is never loaded" in refusal(tmp_path / "a.pth")
    assert not marker.exists()


def test_a_bare_pickle_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    assert "holds more than plain tensors" in refusal(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(9):
            archive.writestr(f"a/data/{number}", bytes(2**25))
    assert "unpacks to" in refusal(tmp_path / "a.pth")


def test_a_tensor_that_only_looks_huge_is_refused_by_its_shape(tmp_path: Path, network: ESRT) -> None:
    state = network.state_dict()
    state["reduce.weight"] = torch.zeros(1).expand(2**20, 2**20)
    torch.save(state, tmp_path / "a.pth")
    assert "reduce.weight has shape 1048576 x 1048576, expected 16 x 16 x 3 x 3" in refusal(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": torch.ones(2)}, "is not ESRT: expected tensors such as 'head.weight', found 1 tensors such as 'a'"),
        ({}, "is not ESRT"),
        ([1, 2], "holds a list"),
        (torch.ones(3), "holds a Tensor"),
        ({"state_dict": {"a": 3}}, "holds 'a', a int"),
        ({1: torch.ones(2)}, "holds '1', a Tensor"),
    ],
)
def test_pth_files_without_esrt_are_refused(tmp_path: Path, content: object, words: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    assert words in refusal(tmp_path / "a.pth")


def test_a_whole_module_is_refused_without_torchs_advice_to_trust_it(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pth")
    message = refusal(tmp_path / "a.pth")
    assert "holds more than plain tensors (torch.nn.modules.linear.Linear), which is never loaded" in message
    assert "trust" not in message


def test_a_torchscript_program_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"")
        archive.writestr("a/data.pkl", b"")
    assert "is a TorchScript program" in refusal(tmp_path / "a.pt")


def test_a_picture_is_not_weights(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"\x89PNG\r\n")
    assert "was not saved by torch" in refusal(tmp_path / "a.pth")


def drop(state: State) -> None:
    del state["ltb.et.mlp.fc1.weight"]


def drop_four(state: State) -> None:
    for name in ("head.weight", "head.bias", "a1", "a2"):
        del state[name]


def add(state: State) -> None:
    state["extra.weight"] = torch.ones(1)


def reshape(state: State) -> None:
    state["ltb.et.mlp.fc1.weight"] = torch.ones(36, 100)


def reshape_head(state: State) -> None:
    state["head.weight"] = torch.ones(32, 3, 3, 3)


def not_a_number(state: State) -> None:
    state["head.bias"] = torch.full((16,), torch.nan)


def infinite(state: State) -> None:
    state["a1"] = torch.tensor([torch.inf])


def whole_numbers(state: State) -> None:
    state["a1"] = torch.ones(1, dtype=torch.int64)


def odd_scale(state: State) -> None:
    for branch in ("up", "tail"):
        state[f"{branch}.steps.0.weight"] = torch.ones(16 * 25, 16, 3, 3)
        state[f"{branch}.steps.0.bias"] = torch.ones(16 * 25)


def odd_channels(state: State) -> None:
    for name in ("head.bias", "head.weight", "reduce.bias", "reduce.weight", "ltb.conv.bias"):
        state[name] = torch.ones(24)


DAMAGE: list[tuple[Callable[[State], None], str]] = [
    (drop, "lacks tensor ltb.et.mlp.fc1.weight; expected exactly the"),
    (drop_four, "lacks tensors a1, a2, head.weight and 1 more"),
    (add, "has unknown tensor extra.weight"),
    (
        reshape,
        "tensor ltb.et.mlp.fc1.weight has shape 36 x 100, expected 36 x 144 for ESRT x2 with",
    ),
    (reshape_head, "tensor head.weight has shape 32 x 3 x 3 x 3, expected 16 x 3 x 3 x 3"),
    (not_a_number, "tensor head.bias has 16 of 16 values that are NaN or infinite"),
    (infinite, "tensor a1 has 1 of 1 values that are NaN or infinite"),
    (whole_numbers, "tensor a1 has type int64"),
    (odd_scale, "has an unknown scale"),
    (odd_channels, "has 24 channels"),
]


@pytest.mark.parametrize(
    ("convert", "words"),
    [
        (lambda tensor: tensor.to("meta"), "tensor ltb.et.mlp.fc1.weight has no values"),
        (torch.Tensor.to_sparse, "tensor ltb.et.mlp.fc1.weight is sparse"),
        (quantized, "tensor ltb.et.mlp.fc1.weight has type quint8"),
        (lambda tensor: tensor.to(torch.complex64), "tensor ltb.et.mlp.fc1.weight has type complex64"),
        (lambda tensor: torch.zeros(1).expand(10**9), "has shape 1000000000"),
        (lambda tensor: torch.nn.UninitializedParameter(), "holds|has"),
    ],
)
@pytest.mark.parametrize("every", [False, True])
def test_tensors_that_are_not_plain_are_one_line(
    tmp_path: Path, network: ESRT, convert: Callable[[torch.Tensor], torch.Tensor], words: str, every: bool
) -> None:
    state = dict(network.state_dict())
    for name in list(state) if every else ["ltb.et.mlp.fc1.weight"]:
        state[name] = convert(state[name].detach())
    torch.save(state, tmp_path / "a.pth")
    message = refusal(tmp_path / "a.pth")
    assert every or re.search(words, message)
    assert message.isprintable()


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_wrong_tensors_are_named(
    tmp_path: Path, network: ESRT, damage: Callable[[State], None], words: str, suffix: str
) -> None:
    state = dict(network.state_dict())
    damage(state)
    path = tmp_path / f"a{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    assert words in refusal(path)


def test_a_wrong_tensor_is_named_as_in_the_file(tmp_path: Path, network: ESRT) -> None:
    state = authors_state(network, "module.")
    state["module.head.0.bias"] = torch.ones(3)
    save_file(state, tmp_path / "a.safetensors")
    assert "tensor module.head.0.bias has shape 3, expected 16" in refusal(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": "3"}, "describes ESRT x3 (16 channels, 1 blocks), but its tensors are those of ESRT x2"),
        ({"architecture": "SwinIR"}, "names SwinIR, not ESRT"),
        ({"format_version": "2"}, "has format version 2, this program supports up to 1; update esrt"),
        ({"configuration": "{}"}, "has damaged metadata (object missing required field `channels`"),
        ({"configuration": "[" * 100_000}, "has damaged metadata"),
        ({"configuration": '{"channels": 1e999, "blocks": 1}'}, "has damaged metadata"),
        ({"configuration": '{"channels": "16", "blocks": 1}'}, "has damaged metadata"),
        ({"scale": "Infinity"}, "has damaged metadata"),
        ({"scale": "1" + "0" * 5000}, "has damaged metadata"),
        ({"psnr": '{"Set5": 1' + "0" * 400 + "}"}, "has damaged metadata"),
        ({"training": "[" * 100_000}, "has damaged metadata"),
        ({"format_version": "9" * 5000}, "has format version 9999"),
        ({"architecture": "x\n" * 100}, "not ESRT"),
        ({"psnr": "[1]"}, "has damaged metadata"),
        ({"scale": "two"}, "has damaged metadata"),
    ],
)
def test_metadata_is_checked(
    tmp_path: Path, network: ESRT, metadata: CheckpointMetadata, change: dict[str, str], words: str
) -> None:
    save_file(network.state_dict(), tmp_path / "a.safetensors", {**metadata.to_strings(), **change})
    assert words in refusal(tmp_path / "a.safetensors")


def test_foreign_metadata_is_passed_over(tmp_path: Path, network: ESRT) -> None:
    save_file(network.state_dict(), tmp_path / "a.safetensors", {"format": "pt", "architecture": "something"})
    assert load_checkpoint(tmp_path / "a.safetensors").metadata == CheckpointMetadata(2, 16, 1)


def test_what_a_damaged_header_says_is_quoted_on_one_printable_line(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(weights.read_bytes().replace(b'"dtype":"F32"', b'"dtype":"\x7f32"', 1))
    assert refusal(path).isprintable()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    assert "does not exist" in refusal(path)
    path.touch()
    assert "is empty" in refusal(path)
    path.write_bytes(b"\xff" * 100)
    assert "expected" in refusal(path) or "is not a safetensors file" in refusal(path)
    path.unlink()
    path.mkdir()
    assert "is a folder" in refusal(path)


@pytest.mark.parametrize("kept", [1, 7, 8, 100, 0.5, 0.999])
def test_truncated_safetensors_are_refused(weights: Path, kept: float) -> None:
    content = weights.read_bytes()
    weights.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert "again" in refusal(weights)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [1, 100, 0.5, 0.999])
def test_truncated_pth_files_are_refused(tmp_path: Path, network: ESRT, kept: float, zipped: bool) -> None:
    path = tmp_path / "a.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert "expected" in refusal(path) or "again" in refusal(path)


def test_a_longer_file_than_its_header_says_is_refused(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes() + b"x")
    assert "do not match its header" in refusal(weights)


def test_a_header_that_promises_gigabytes_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert "header" in refusal(tmp_path / "a.safetensors")


def test_saving_refuses_what_the_metadata_does_not_describe(
    tmp_path: Path, network: ESRT, metadata: CheckpointMetadata
) -> None:
    with pytest.raises(WeightsError, match=r"a\.safetensors.*expected"):
        save_checkpoint(network, tmp_path / "a.safetensors", replace(metadata, scale=4))
    assert not list(tmp_path.iterdir())


def test_saving_replaces_at_once_and_leaves_nothing_beside(
    weights: Path, network: ESRT, metadata: CheckpointMetadata
) -> None:
    save_checkpoint(network, weights, replace(metadata, card="second"))
    assert load_checkpoint(weights).metadata.card == "second"
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]
    assert load_file(weights).keys() == network.state_dict().keys()
