from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from esrt_core.architecture import SCALES
from esrt_core.engine.native import NativeESRT
from esrt_core.engine.native.library import Library
from esrt_core.engine.native.packing import Weights, pack
from esrt_core.model.blocks import HPB
from tests.engine.native.conftest import drawn_network, named_weights, native_form

Tiles = NDArray[np.float32]
TOLERANCE = 1e-4  # of outputs whose standard deviation is up to 15


def tiles(*shape: int, seed: int = 5) -> Tiles:
    return np.random.default_rng(seed).random(shape, np.float32)


def plain(scale: int, x: Tiles, windows: tuple[int, int] = (1, 1), seed: int = 1) -> Tiles:
    with torch.inference_mode():
        return drawn_network(scale, seed)(torch.from_numpy(x), windows).numpy()  # type: ignore[no-any-return]


@cache
def native(scale: int, library: Library) -> NativeESRT:
    return native_form(drawn_network(scale), library)


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("size", "windows"),
    [
        ((3, 3), (1, 1)),
        ((3, 4), (1, 1)),
        ((5, 4), (1, 1)),
        ((17, 22), (1, 1)),
        ((24, 24), (2, 2)),
        ((25, 31), (2, 3)),
        ((3, 40), (1, 2)),
        ((39, 53), (3, 2)),
        ((52, 61), (1, 1)),
    ],
)
def test_equals_the_plain_network_up_to_its_borders(
    library: Library, scale: int, size: tuple[int, int], windows: tuple[int, int]
) -> None:
    x = tiles(2, 3, *size)
    expected, got = plain(scale, x, windows), native(scale, library)(x, windows)
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
def test_equals_the_plain_network_with_other_weights(library: Library, scale: int) -> None:
    x = tiles(1, 3, 13, 18)
    network = drawn_network(scale, seed=7)
    with torch.no_grad():
        for hpb in network.lcb.hpb:
            assert isinstance(hpb, HPB)
            hpb.arfb_low.l5.fill_(-0.7)
            hpb.arfb_high.l5.fill_(0.0)
            hpb.arfb_out.l4.fill_(-0.5)
            hpb.arfb_enc.ru1.m1.fill_(-1.1)
            hpb.arfb_enc.ru2.act.weight.fill_(1.5)
        expected = network(torch.from_numpy(x)).numpy()
    assert np.abs(native_form(network, library)(x) - expected).max() <= TOLERANCE


def test_takes_another_number_of_blocks(library: Library) -> None:
    x, network = tiles(1, 3, 12, 10), drawn_network(2, blocks=2)
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()
    assert np.abs(native_form(network, library)(x) - expected).max() <= TOLERANCE


def test_flat_and_large_inputs_stay_close(library: Library) -> None:
    flat = np.full((1, 3, 12, 12), 0.5, np.float32)
    assert np.abs(native(2, library)(flat) - plain(2, flat)).max() <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_bytes_depend_on_the_tile_alone(library: Library, count: int, threads: int) -> None:
    x = tiles(5, 3, 37, 26)
    each = np.concatenate([native(4, library)(x[index : index + 1], (2, 1)) for index in range(count)])
    assert np.array_equal(native(4, library)(x[:count], (2, 1), threads), each)


def test_calls_may_run_at_the_same_time(library: Library) -> None:
    from concurrent.futures import ThreadPoolExecutor

    x = tiles(6, 3, 24, 20)
    expected = native(3, library)(x)
    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(lambda index: native(3, library)(x[index : index + 1], threads=2), range(6)))
    assert np.array_equal(np.concatenate(got), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_hidden(library: Library, bad: float) -> None:
    x = tiles(2, 3, 21, 18)
    x[1, 1, 10, 9] = bad
    got = native(2, library)(x)
    assert np.isfinite(got[0]).all()  # its neighbor in the batch
    assert not np.isfinite(got[1]).any()  # channel attention spreads it over the whole tile


@pytest.mark.slow
@pytest.mark.parametrize("name", ["head.bias", "lcb.hpb.1.arfb_out.ru1.act.weight", "up.last.weight", "tail.last.bias"])
def test_weights_that_are_not_finite_are_not_hidden(library: Library, name: str) -> None:
    weights = {key: value.copy() for key, value in named_weights(drawn_network(2)).items()}
    weights[name].flat[0] = np.nan
    assert np.isnan(NativeESRT(weights, 2, library)(tiles(1, 3, 9, 8))).any()


@pytest.mark.parametrize(
    ("shape", "windows", "threads"),
    [((1, 4, 8, 8), (1, 1), 1), ((1, 3, 2, 8), (1, 1), 1), ((1, 3, 8, 8), (9, 1), 1), ((1, 3, 8, 8), (1, 1), 0)],
)
def test_refuses_what_it_cannot_compute(
    library: Library, shape: tuple[int, ...], windows: tuple[int, int], threads: int
) -> None:
    with pytest.raises(ValueError, match="tiles"):
        native(2, library)(tiles(*shape), windows, threads)


def test_an_empty_batch_gives_an_empty_batch(library: Library) -> None:
    assert native(3, library)(tiles(0, 3, 8, 8)).shape == (0, 3, 24, 24)


def test_other_widths_are_refused() -> None:
    from esrt_core.model import ESRT, ESRTConfig

    with pytest.raises((ValueError, RuntimeError)):
        native_form(ESRT(ESRTConfig(2, channels=16)))


def test_weights_are_packed_once_and_not_before_a_tile_comes(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[int] = []

    def counted(weights: Weights, scale: int) -> Tiles:
        packed.append(scale)
        return pack(weights, scale)

    monkeypatch.setattr("esrt_core.engine.native.network.pack", counted)
    enlarge = native_form(drawn_network(2, blocks=1), library)
    assert packed == []
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(enlarge, [tiles(1, 3, 8, 8)] * 2)
    assert packed == [2]
    assert np.array_equal(first, second)


def test_what_lies_behind_the_last_key_does_not_count(library: Library) -> None:
    network = drawn_network(2, blocks=1)
    with torch.no_grad():
        qkv = network.ltb.et.emha.qkv.weight.view(3, 8, 18, -1)
        qkv[0, :, 0] *= 300  # meets the keys' channel 1 only if a query's channels are off by one
        qkv[1, :, 1] *= 300
        qkv[0, :, 1] = qkv[1, :, 0] = 0
    x = tiles(1, 3, 8, 8)  # pieces of 16 tokens: whole vectors, whose end is that of the memory of a channel
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()
    assert np.abs(native_form(network, library)(x) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("factor", [1, 8, 16])  # needs no maxima anywhere, in most places, nowhere
def test_scores_of_every_size_are_weighed_alike(library: Library, factor: float) -> None:
    network = drawn_network(2, blocks=1)
    with torch.no_grad():
        network.ltb.et.emha.qkv.weight.view(3, -1)[0] *= factor  # queries
    x = tiles(1, 3, 20, 24)
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()
    assert np.abs(native_form(network, library)(x) - expected).max() <= TOLERANCE
