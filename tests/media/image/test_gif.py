import io

import pytest
from PIL import Image

from esrt_core.media.frame import ColorSpace
from esrt_core.media.image.cicp import CodePoints, profile_of
from esrt_core.media.image.gif import read_extensions
from esrt_core.media.image.picture import Metadata, Resolution, Unit
from tests.media.pictures import animation, picture, present, read, saved, written

XMP_END = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>T</dc:title></x:xmpmeta>'


def application(name: bytes, data: bytes) -> bytes:
    return b"!\xff\x0b" + name + data


def in_blocks(data: bytes) -> bytes:
    parts = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def extended(*extensions: bytes, aspect: int = 0, still: bool = True) -> bytes:
    """A GIF with further extensions behind its frames and a shape of pixels."""
    data = saved(picture(), "GIF") if still else animation("GIF", [40, 40, 40], alpha=False, loop=0)
    return data[:12] + bytes([aspect]) + data[13:-1] + b"".join(extensions) + b";"


@pytest.mark.parametrize("still", [True, False])
def test_xmp_comments_and_shape_are_kept(still: bool) -> None:
    comments = [b"!\xfe" + in_blocks(b"one" * 100), b"!\xfe" + in_blocks(b"two")]
    decoded = read(extended(*comments, application(b"XMP DataXMP", PACKET + XMP_END), aspect=17, still=still))
    assert decoded.metadata.comments == (b"one" * 100, b"two")
    assert decoded.metadata.resolution == Resolution(2, 1, Unit.NONE)  # pixels half as wide as high
    data, notes = written(decoded.pages, "gif", decoded.metadata)
    assert notes == ()
    assert data[12] == 17
    found = read_extensions(io.BytesIO(data))
    assert found.xmp == PACKET
    assert found.comments == (b"one" * 100 + b"\ntwo",)
    image = Image.open(io.BytesIO(data))
    assert getattr(image, "n_frames", 1) == (1 if still else 3)


def test_colors_are_converted_from_the_profile_of_a_gif() -> None:
    wide = present(profile_of(CodePoints(12, 13), ColorSpace.RGB))
    decoded = read(extended(application(b"ICCRGBG1012", in_blocks(wide))))
    assert decoded.metadata.icc == wide
    _, notes = written(decoded.pages, "gif", decoded.metadata)
    assert notes == ("colors converted to sRGB: GIF holds no color profile",)
    assert written(decoded.pages, "png", decoded.metadata)[1] == ()
    decoded = read(extended(application(b"ICCRGBG1012", in_blocks(wide[:-9]))))
    assert decoded.notes == ("damaged color profile left out",)


def test_other_extensions_are_said() -> None:
    decoded = read(extended(application(b"MGK8BIM0000", in_blocks(b"data")), b"!\x01" + in_blocks(bytes(12))))
    assert decoded.notes == ("GIF extensions (MGK8BIM0000, plain text) left out",)


def test_a_shape_that_a_gif_cannot_state_is_said() -> None:
    decoded = read(saved(picture(), "GIF"))
    metadata = Metadata(resolution=Resolution(9, 1, Unit.NONE))
    data, notes = written(decoded.pages, "gif", metadata)
    assert data[12] == 0
    assert notes == ("shape of the pixels left out: GIF holds 1:4 to 4:1",)


def test_extensions_that_are_cut_off_are_none() -> None:
    assert read_extensions(io.BytesIO(extended()[:-1] + b"!\xfe\x10cut")).comments == ()
