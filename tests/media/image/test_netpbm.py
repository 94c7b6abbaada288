"""Comments in the header of a PNM."""

import numpy as np
import pytest

from esrt_core.media.image import netpbm
from esrt_core.media.image.picture import Metadata
from tests.media.pictures import noise, picture, present, read, saved, written


@pytest.mark.parametrize(
    ("data", "comment"),
    [
        (b"P6\n# made by hand\n#  twice\r\n2 # wide\n1\n255\n\1\2\3#a\n", b"made by hand\n twice\nwide"),
        (b"P5\n2 1\n255\n#\n", b""),
        (b"P5 #one\n2 #two\n1 1023\n\0\1\3\xe8", b"one\ntwo"),
        (b"P4\n# of bits\n8 1\n#", b"of bits"),
        (b"P1 # plain\n2 1\n0 1\n", b"plain"),
    ],
)
def test_the_comments_of_a_header_are_kept(data: bytes, comment: bytes) -> None:
    decoded = read(data)
    assert (decoded.metadata.comments, decoded.notes) == ((comment,) if comment else (), ())
    result, notes = written(decoded.pages, "ppm", decoded.metadata)
    again = read(result)
    assert notes == ()
    assert again.metadata.comments == decoded.metadata.comments
    assert np.array_equal(next(iter(again.pages)).frame.planes[0], next(iter(decoded.pages)).frame.planes[0])


def test_the_comment_of_a_jpeg_becomes_lines() -> None:
    decoded = read(saved(picture(), "JPEG", comment=b"one\r\ntwo\nthree"))
    data, _ = written(decoded.pages, "ppm", decoded.metadata)
    assert data.startswith(b"P6\n# one\n# two\n# three\n28 20\n255\n")


def test_a_long_header_hides_no_depth() -> None:
    samples = noise(3, 4, 3, dtype=np.uint16)
    comment = b"x" * 40_000
    data = b"P6\n#" + comment + b"\n4 3\n65535\n" + samples.astype(">u2").tobytes()
    decoded = read(data)
    (page,) = decoded.pages
    assert np.array_equal(page.frame.planes[0], samples)
    assert written(decoded.pages, "ppm", decoded.metadata) == (data.replace(b"#", b"# ", 1), ())


def test_comments_that_are_too_long_are_said() -> None:
    data = b"P5\n#" + b"x" * netpbm.HEADER_BYTES + b"\n2 1\n255\n\1\2"
    assert read(data).notes == ("comments longer than 65,536 bytes left out",)
    pages = read(saved(picture(), "PNG")).pages
    given = Metadata(comments=(b"x" * 70_000, b"short"))
    for format, label, limit in (("ppm", "PPM", "50,000"), ("jpeg", "JPEG", "65,533"), ("jp2", "JPEG 2000", "65,531")):
        result, notes = written(pages, format, given)
        assert notes == (f"comment of 70,000 bytes left out: {label} holds {limit}",)
        assert read(result).metadata.comments == (b"short",)
    assert len(present(read(written(pages, "gif", given)[0]).metadata.comments)[0]) == 70_006
