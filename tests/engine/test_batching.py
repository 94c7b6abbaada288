import numpy as np
import pytest
import torch

from esrt_core.engine.arrays import Array
from esrt_core.engine.batching import MOST_FRAMES, TileCache, group_frames, tile_key
from tests.engine.conftest import rgb


def test_small_frames_come_in_groups_and_in_order() -> None:
    frames = [rgb(8, 8, seed=index) for index in range(MOST_FRAMES + 3)]
    groups = list(group_frames(frames, "cpu"))
    assert [len(group) for group in groups] == [MOST_FRAMES, 3]
    assert all(a is b for a, b in zip((frame for group in groups for frame in group), frames, strict=True))


def test_a_large_frame_is_a_group_by_itself() -> None:
    frames = [rgb(8, 8), rgb(400, 400), rgb(8, 8)]
    assert [len(group) for group in group_frames(frames, "cpu")] == [1, 1, 1]


def test_frames_are_taken_only_when_they_are_needed() -> None:
    taken = []
    groups = group_frames((taken.append(index) or rgb(400, 400) for index in range(5)), "cpu")  # type: ignore[func-returns-value]
    next(groups)
    assert len(taken) == 2


def test_a_key_follows_bytes_shape_type_and_kind() -> None:
    tile = np.arange(12, dtype=np.uint8)
    keys = {
        tile_key((tile.reshape(3, 4),), "rgb"),
        tile_key((tile.reshape(4, 3),), "rgb"),
        tile_key((tile.reshape(3, 4),), "gray"),
        tile_key((tile.reshape(3, 4) + 1,), "rgb"),
        tile_key((tile.reshape(3, 4).view(np.int8),), "rgb"),
    }
    assert len(keys) == 5
    assert tile_key((tile.reshape(3, 4),), "rgb") == tile_key((tile.reshape(3, 4).copy(),), "rgb")


def test_the_results_used_last_are_kept_within_the_limit() -> None:
    cache = TileCache(limit=2 * 40)
    for key in (b"a", b"b"):
        cache.put(key, np.zeros(10, np.float32))
    assert cache.get(b"a") is not None
    cache.put(b"c", np.zeros(10, np.float32))
    assert cache.get(b"b") is None
    assert cache.get(b"a") is not None
    assert cache.get(b"c") is not None


def test_a_cache_without_room_keeps_nothing() -> None:
    cache = TileCache(limit=0)
    cache.put(b"a", np.zeros(10, np.float32))
    assert cache.get(b"a") is None


@pytest.mark.parametrize("batch", [np.arange(20.0).reshape(2, 10), torch.arange(20.0).view(2, 10)])
def test_a_kept_slice_does_not_keep_the_batch_that_it_came_with(batch: Array) -> None:
    cache = TileCache(limit=1000)
    cache.put(b"a", batch[1], is_slice=True)
    expected = batch[1].tolist()
    batch[1] = 0
    kept = cache.get(b"a")
    assert kept is not None
    assert kept.tolist() == expected
