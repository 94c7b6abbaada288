"""The color profile of a BMP of version 5, whose pixels become sRGB where the target has none."""

import numpy as np

from esrt_core.media.frame import ColorSpace
from esrt_core.media.image import cicp
from tests.media.pictures import first, picture, present, read, saved, srgb_profile, written

P3 = present(cicp.profile_of(cicp.CodePoints(12, 13), ColorSpace.RGB))


def bmp(kind: bytes, profile: bytes) -> bytes:
    plain = saved(picture(), "BMP")
    pixels, old = plain[54:], plain[18:54]
    header = (124).to_bytes(4, "little") + old + bytes(16) + kind + bytes(48)
    header += (4).to_bytes(4, "little") + (124 + len(pixels)).to_bytes(4, "little")
    header += len(profile).to_bytes(4, "little") + bytes(4)
    size = 14 + len(header) + len(pixels) + len(profile)
    return b"BM" + size.to_bytes(4, "little") + bytes(4) + (138).to_bytes(4, "little") + header + pixels + profile


def test_the_profile_within_a_bmp_is_read() -> None:
    decoded = read(bmp(b"DEBM", P3))
    assert decoded.metadata.icc == P3
    data, notes = written(decoded.pages, "png", decoded.metadata)
    assert notes == ()
    assert read(data).metadata.icc == P3
    data, notes = written(decoded.pages, "bmp", decoded.metadata)
    assert notes == ("colors converted to sRGB: BMP holds no color profile",)
    assert np.any(first(data).frame.planes[0] != np.asarray(picture()))


def test_a_profile_of_srgb_changes_nothing() -> None:
    decoded = read(bmp(b"DEBM", srgb_profile()))
    data, notes = written(decoded.pages, "bmp", decoded.metadata)
    assert notes == ()
    assert (first(data).frame.planes[0] == np.asarray(picture())).all()


def test_profiles_that_cannot_be_used_are_said() -> None:
    assert read(bmp(b"KNIL", b"C:\\p3.icc\0")).notes == ("color profile left out: it is in another file",)
    assert read(bmp(b"DEBM", P3)[:-9]).notes == ("damaged color profile left out",)


def test_other_headers_have_no_profile() -> None:
    decoded = read(bmp(b" nW\0", b""))
    assert decoded.metadata.icc is None
    assert decoded.notes == ()
    assert read(saved(picture(), "BMP")).metadata.icc is None
