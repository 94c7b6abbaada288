import numpy as np
import torch

from esrt_core.engine.fused.transfer import DeviceTransfer


def test_a_piece_is_written_when_its_batch_is_one_behind_or_at_the_end() -> None:
    transfer, target = DeviceTransfer(torch.device("cpu")), np.zeros((2, 4), np.uint16)
    transfer.to_host(torch.ones(2, 2, dtype=torch.int32), target[:, :2])
    transfer.end_batch()
    assert not target.any()
    transfer.to_host(torch.full((2, 2), 65_535, dtype=torch.int32), target[:, 2:])
    transfer.end_batch()
    assert target.tolist() == [[1, 1, 0, 0]] * 2
    transfer.flush()
    assert target.tolist() == [[1, 1, 65_535, 65_535]] * 2


def test_closing_waits_for_nothing() -> None:
    transfer, target = DeviceTransfer(torch.device("cpu")), np.zeros((), bool)
    for value in (False, True):
        transfer.to_host(torch.tensor(value), target)
        transfer.mark_complete()
        assert not target
    transfer.flush()
    assert target


def test_a_piece_may_lie_anyhow_in_memory() -> None:
    transfer, target = DeviceTransfer(torch.device("cpu")), np.zeros((2, 3, 4), np.uint8)
    piece = torch.arange(24, dtype=torch.uint8).reshape(4, 2, 3).permute(1, 2, 0)
    transfer.to_host(piece, target)
    transfer.end_batch()
    transfer.flush()
    assert np.array_equal(target, piece.numpy())


def test_a_piece_is_converted_to_the_type_of_its_plane() -> None:
    transfer = DeviceTransfer(torch.device("cpu"))
    targets = [np.zeros((1, 3), dtype) for dtype in (np.uint8, np.uint16, np.float32)]
    pieces = ([[0.0, 1.0, 255.0]], [[0.0, 256.0, 65_535.0]], [[0.0, 0.25, 1.0]])
    for piece, target in zip(pieces, targets, strict=True):
        transfer.to_host(torch.tensor(piece), target)
    transfer.end_batch()
    transfer.flush()
    assert [target.tolist() for target in targets] == list(pieces)
