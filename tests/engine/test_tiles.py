import numpy as np
import torch

from esrt_core.engine.tiles import AsyncCopies


def test_a_piece_is_written_when_its_batch_is_one_behind_or_at_the_end() -> None:
    copies, target = AsyncCopies(torch.device("cpu")), np.zeros((2, 4), np.uint16)
    copies.enqueue(torch.ones(2, 2, dtype=torch.int32), target[:, :2])
    copies.end_batch()
    assert not target.any()
    copies.enqueue(torch.full((2, 2), 65_535, dtype=torch.int32), target[:, 2:])
    copies.end_batch()
    assert target.tolist() == [[1, 1, 0, 0]] * 2
    copies.flush()
    assert target.tolist() == [[1, 1, 65_535, 65_535]] * 2


def test_closing_waits_for_nothing() -> None:
    copies, target = AsyncCopies(torch.device("cpu")), np.zeros((), bool)
    for value in (False, True):
        copies.enqueue(torch.tensor(value), target)
        copies.mark_complete()
        assert not target
    copies.flush()
    assert target


def test_a_piece_may_lie_anyhow_in_memory() -> None:
    copies, target = AsyncCopies(torch.device("cpu")), np.zeros((2, 3, 4), np.uint8)
    piece = torch.arange(24, dtype=torch.uint8).reshape(4, 2, 3).permute(1, 2, 0)
    copies.enqueue(piece, target)
    copies.end_batch()
    copies.flush()
    assert np.array_equal(target, piece.numpy())
