"""Comments of a PNM, in its header and among plain samples; PAM."""

import numpy as np
import pytest

from esrt_core.errors import MediaError
from esrt_core.media.image import netpbm
from esrt_core.media.image.picture import Metadata, ReadLimits
from tests.media.pictures import noise, picture, present, read, saved, written


@pytest.mark.parametrize(
    ("data", "comment"),
    [
        (b"P6\n# made by hand\n#  twice\r\n2 # wide\n1\n255\n\1\2\3#a\n", b"made by hand\n twice\nwide"),
        (b"P5\n2 1\n255\n#\n", b""),
        (b"P5 #one\n2 #two\n1 1023\n\0\1\3\xe8", b"one\ntwo"),
        (b"P4\n# of bits\n8 1\n#", b"of bits"),
        (b"P1 # plain\n2 1\n0 1\n", b"plain"),
        (b"P5\n#one\r2 1\r255\r\1\2", b"one"),
        (b"P2 2 2 255\n1 2# two\n3#x\r4\n# last", b"two\nx\nlast"),
        (b"P7\n# one\nWIDTH 1\n  #two\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n#", b"one\ntwo"),
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


@pytest.mark.parametrize(
    ("data", "samples", "comment"),
    [  # compared with pnmtoplainpnm and ImageMagick
        (b"P1 # c\n2 2 \n0#mid x\n1 1\n#end\n0\n", [[255, 0], [0, 255]], b"c\nmid x\nend"),
        (b"P1\n2 2\n01#c\n10\n", [[255, 0], [0, 255]], b"c"),
        (b"P2 2 2 255\n1 2# two\n3#x\r4\n# last", [[1, 2], [3, 4]], b"two\nx\nlast"),
        (b"P2 2 2 15\n1 2#two\r\n3\t15", [[17, 34], [51, 255]], b"two"),
        (b"P2 2 2 300\n1 2#two\r3 4\n", [[218, 437], [655, 874]], b"two"),
        (b"P3 1 1 65535 # h\n1 #r\n2 # g\n65535", [[[1, 2, 65535]]], b"h\nr\ng"),
        (b"P3\n1 1\n255\n1\n#2\n3 4\n", [[[1, 3, 4]]], b"2"),
    ],
)
def test_comments_among_plain_samples_are_kept_and_not_read_as_samples(
    data: bytes, samples: list[object], comment: bytes
) -> None:
    decoded = read(data)
    (page,) = decoded.pages
    assert page.frame.planes[0].tolist() == samples
    assert decoded.metadata.comments == (comment,)
    assert decoded.info.depth == page.frame.depth
    assert written(decoded.pages, "ppm", decoded.metadata)[1] == ()


def test_plain_samples_that_are_missing_or_no_numbers_are_refused() -> None:
    for data in (b"P1 2 2 0 1 1 2", b"P2 2 1 255 1 x", b"P2 1 1 255 99999999999", b"P2 1 1 255 256", b"P2 1 1 9 -1"):
        with pytest.raises(MediaError, match="truncated or damaged"):
            read(data)
    cut = b"P2 2 2 255 9 8 7"
    with pytest.raises(MediaError, match="1 of 4 samples are missing"):
        read(cut)
    decoded = read(cut, ReadLimits(allow_truncated=True))
    assert next(iter(decoded.pages)).frame.planes[0].tolist() == [[9, 8], [7, 0]]
    assert decoded.notes == ("the file is truncated or damaged: the last 1 of 2 rows are missing (50 %)",)


def pam(tuples: bytes, depth: int, peak: int, samples: bytes) -> bytes:
    kind = b"TUPLTYPE %s\n" % tuples if tuples else b""
    return b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH %d\nMAXVAL %d\n%sENDHDR\n%s" % (depth, peak, kind, samples)


@pytest.mark.parametrize(
    ("data", "color", "alpha"),
    [  # compared with pamtopam and ImageMagick
        (pam(b"BLACKANDWHITE", 1, 1, b"\1\0"), [[255, 0]], None),
        (pam(b"GRAYSCALE", 1, 255, b"\1\2"), [[1, 2]], None),
        (pam(b"", 2, 255, b"\1\2\3\4"), [[1, 3]], [[2, 4]]),
        (pam(b"RGB", 3, 15, b"\0\1\2\3\4\x0f"), [[[0, 17, 34], [51, 68, 255]]], None),
        (pam(b"RGB_ALPHA", 4, 255, b"\1\2\3\4\5\6\7\x08"), [[[1, 2, 3], [5, 6, 7]]], [[4, 8]]),
        (pam(b"GRAYSCALE_ALPHA", 2, 65535, b"\1\2\3\4\5\6\7\x08"), [[258, 1286]], [[772, 1800]]),
    ],
)
def test_a_pam_is_read(data: bytes, color: list[object], alpha: list[object] | None) -> None:
    decoded = read(data)
    (page,) = decoded.pages
    frame = page.frame
    assert frame.planes[0].tolist() == color
    assert alpha == (None if frame.alpha is None else frame.alpha.tolist())
    info = decoded.info
    assert (info.format.name, info.width, info.height, info.space) == ("pam", 2, 1, frame.space)
    assert (info.depth, info.has_alpha) == (frame.depth, alpha is not None)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2), (3, 4, 3), (3, 4, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_pam_keeps_everything(shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    samples = noise(*shape, dtype=dtype)
    channels = samples.reshape(3, 4, -1).shape[2]
    header = b"P7\n# words\nWIDTH 4\nHEIGHT 3\nDEPTH %d\nMAXVAL %d\n" % (channels, np.iinfo(samples.dtype).max)
    names = {1: b"GRAYSCALE", 2: b"GRAYSCALE_ALPHA", 3: b"RGB", 4: b"RGB_ALPHA"}
    data = (
        header + b"TUPLTYPE %s\nENDHDR\n" % names[channels] + samples.astype(samples.dtype.newbyteorder(">")).tobytes()
    )
    decoded = read(data)
    assert written(decoded.pages, "pam", decoded.metadata) == (data, ())


def test_a_pam_of_other_tuples_is_refused_by_name() -> None:
    for data in (pam(b"CMYK", 4, 255, bytes(8)), pam(b"RGB", 3, 70_000, bytes(12)), b"P7\nWIDTH 2\nENDHDR\n"):
        with pytest.raises(MediaError, match="a PAM with a damaged header or of tuples that are neither gray nor RGB"):
            read(data)
    with pytest.raises(MediaError, match="2 of 6 samples are missing"):
        read(pam(b"RGB", 3, 255, bytes(4)))
