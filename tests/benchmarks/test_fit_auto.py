"""The network of `--model auto` while it is fitted: that of the command, or an earlier one, trained further."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from benchmarks.fit_auto import (
    BLOCKS,
    UNDAMAGED,
    Example,
    Network,
    add_gains,
    gains_of_outputs,
    loaded,
    loss_of,
    mean_of,
    shares_of,
    train,
)
from benchmarks.kinds import BLOCK, Row
from esrt_core.evaluation.prediction import CONSTANTS, INPUTS, KINDS, block_features, predict_errors

ROW = Row("a.png", False, 0, 2, "undamaged", "png", 24.0, None, False, (1, 1), 30.0)


def example() -> Example:
    random = np.random.default_rng(0)
    luma = random.uniform(0, 255, (BLOCKS * BLOCK, BLOCKS * BLOCK)).astype(np.float32)
    errors = np.full((1 + len(KINDS), BLOCKS, BLOCKS), np.nan, np.float32)
    area = np.full((BLOCKS, BLOCKS), 256, np.float32)
    return Example(ROW, "file", luma, random.uniform(0, 1, len(INPUTS)).astype(np.float32), errors, area)


def fitted(seed: int) -> Network:
    torch.manual_seed(seed)
    return Network(np.zeros(len(INPUTS), np.float32), np.ones(len(INPUTS), np.float32))


def outputs(network: Network, of: Example) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(
            torch.from_numpy(of.luma)[None], network.scaled(torch.from_numpy(of.inputs)[None])
        )
    return found


def test_the_shipped_network_says_the_same_as_the_command() -> None:
    given = example()
    expected = predict_errors([block_features(given.luma)], given.inputs)[0]
    np.testing.assert_allclose(outputs(loaded(CONSTANTS), given)[0].numpy(), expected, atol=1e-3)


def test_a_network_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_file(fitted(1).constants(), tmp_path / "network.safetensors")
    found = outputs(loaded(tmp_path / "network.safetensors"), example())
    np.testing.assert_allclose(found.numpy(), outputs(fitted(1), example()).numpy(), atol=0.02)  # float16


def test_training_further_begins_with_the_earlier_network() -> None:
    given = example()
    measured = replace(given, errors=np.full(given.errors.shape, 1000, np.float32))
    start = fitted(1)
    before = outputs(start, given)
    found = train([measured], 1, 0, 1e-9, start)
    np.testing.assert_allclose(outputs(found, given).numpy(), before.numpy(), atol=1e-3)


def test_a_share_of_the_earlier_network_is_kept() -> None:
    for share in (0.0, 0.25, 1.0):
        found = mean_of(fitted(1), fitted(2), share).edges.weight
        expected = share * fitted(1).edges.weight + (1 - share) * fitted(2).edges.weight
        torch.testing.assert_close(found, expected)


def test_what_is_added_is_expected_of_each_kind_and_no_more() -> None:
    network, luma = loaded(CONSTANTS), 255 * torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0))
    told, area = torch.zeros(2, len(INPUTS)), torch.ones(2, 4, 4)
    before = gains_of_outputs(network(luma, told), area)
    add_gains(network, [0.04, -0.3])
    gained = gains_of_outputs(network(luma, told), area) - before
    torch.testing.assert_close(gained, torch.tensor([[0.04, -0.3]] * 2), rtol=0, atol=1e-4)


def test_undamaged_pictures_are_shown_as_often_however_few_damages_were_measured() -> None:
    damaged = replace(ROW, damage="noise")
    for count in (1, 4, 13):
        shares = shares_of([ROW, *[damaged] * count, ROW, *[damaged] * count])
        assert shares.sum() == pytest.approx(1)
        assert shares[0] + shares[1 + count] == pytest.approx(UNDAMAGED)
    assert shares_of([ROW, ROW]).tolist() == [0.5, 0.5]
    assert shares_of([damaged]).tolist() == [1.0]


def test_a_blank_part_without_any_error_does_not_break_a_fit() -> None:
    errors = torch.zeros(1, 1 + len(KINDS), BLOCKS, BLOCKS)
    area = torch.full((1, BLOCKS, BLOCKS), 256.0)
    network = fitted(1)
    loss = loss_of(
        network(torch.full((1, BLOCKS * BLOCK, BLOCKS * BLOCK), 255.0), torch.zeros(1, len(INPUTS))), errors, area
    )
    torch.autograd.backward(loss)
    assert all(each.grad is not None and each.grad.isfinite().all() for each in network.parameters())
