import io
from typing import Literal

import numpy as np
import pytest
import tifffile

from esrt_core.media.image.tiff_chain import cut_of_loop
from tests.media.pictures import noise, read


def pages(count: int, *, big: bool, order: Literal["<", ">"]) -> tuple[bytes, list[int]]:
    """Return a TIFF of pages of different grays, and where the offset of the next page stands in each."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=big, byteorder=order) as writer:
        for number in range(count):
            writer.write(np.full((6, 5), number, np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as tiff:
        sizes = (8, 20) if big else (2, 12)
        ends = [page.offset + sizes[0] + sizes[1] * len(page.aspage().tags) for page in tiff.pages]
    return file.getvalue(), ends


def looped(count: int, back_to: int, *, big: bool = False, order: Literal["<", ">"] = "<") -> bytes:
    """Return a TIFF whose last page is followed by page `back_to` again."""
    data, ends = pages(count, big=big, order=order)
    size, name = (8 if big else 4), ("little" if order == "<" else "big")
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        offset = tiff.pages[back_to].offset
    return data[: ends[-1]] + offset.to_bytes(size, name) + data[ends[-1] + size :]  # type: ignore[arg-type]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("count", "back_to"), [(1, 0), (3, 0), (3, 2), (150, 0), (150, 120)])
def test_pages_of_a_chain_that_comes_back_are_read_once(
    count: int, back_to: int, big: bool, order: Literal["<", ">"]
) -> None:
    source = read(looped(count, back_to, big=big, order=order))
    assert source.info.pages == count
    assert [int(page.frame.planes[0].max()) for page in source.pages] == list(range(count))


def test_a_chain_that_ends_is_not_cut() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, noise(3, 6, 5), photometric="minisblack", metadata=None)
    data = file.getvalue()
    assert cut_of_loop(lambda at, length: data[at : at + length], len(data)) is None
