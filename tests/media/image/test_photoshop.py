import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esrt_core.media.frame import Frame
from esrt_core.media.image import photoshop
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page
from tests.media.pictures import noise, picture, present, read, saved, written


def resource(number: int, content: bytes, name: bytes = b"\0\0") -> bytes:
    padding = bytes(len(content) % 2)
    return b"8BIM" + number.to_bytes(2, "big") + name + len(content).to_bytes(4, "big") + content + padding


def test_resources_with_names_and_odd_sizes_are_read() -> None:
    data = resource(0x03ED, b"odd", b"\4name\0") + resource(0x0404, b"\x1c\2\x69\0\1a")
    found = [(number, content) for number, content, _ in photoshop.resources(data)]
    assert found == [(0x03ED, b"odd"), (0x0404, b"\x1c\2\x69\0\1a")]
    assert b"".join(whole for _, _, whole in photoshop.resources(data)) == data
    assert photoshop.iptc_of(data) == b"\x1c\2\x69\0\1a"


def test_thumbnails_are_left_out_only_of_a_picture_that_was_turned() -> None:
    iptc, damaged = resource(0x0404, b"ab"), b"8BIM\4\4\0\0\0\0\xff\xffcut"
    data = resource(0x040C, b"jpeg") + iptc + damaged
    assert photoshop.upright(data, 1, 20, 10) == data
    assert photoshop.upright(data, 6, 20, 10) == iptc + damaged
    assert photoshop.upright(None, 6, 20, 10) is None


def test_iptc_alone_becomes_a_resource() -> None:
    assert photoshop.of_iptc(b"abc") == resource(0x0404, b"abc")


GUIDES, PATH, SLICES = 0x0408, 0x07D1, 0x041A


def guides(*places: tuple[float, bool]) -> bytes:
    """Guides at places in px, each vertical (False) or horizontal (True)."""
    return struct.pack(">4i", 1, 576, 576, len(places)) + b"".join(
        struct.pack(">ib", round(place * 32), is_horizontal) for place, is_horizontal in places
    )


def places_of(content: bytes) -> list[tuple[float, bool]]:
    rows = struct.iter_unpack(">ib", content[16:])
    return [(place / 32, bool(is_horizontal)) for place, is_horizontal in rows]


def path(*points: tuple[float, float]) -> bytes:
    """A closed path of corners, each (x, y) as a share of the sides."""
    knots = [struct.pack(">h6i", 2, *[round(value * (1 << 24)) for value in (y, x)] * 3) for x, y in points]
    return b"".join([struct.pack(">h", 6) + bytes(24), struct.pack(">hh", 0, len(points)) + bytes(22), *knots])


def points_of(content: bytes) -> list[tuple[float, float]]:
    records = [content[at : at + 26] for at in range(0, len(content), 26)]
    found = [struct.unpack(">2i", record[2:10]) for record in records if record[1] == 2]
    return [(x / (1 << 24), y / (1 << 24)) for y, x in found]


def slices(count: int) -> bytes:
    return struct.pack(">5i", 6, 0, 0, 10, 20) + struct.pack(">i2s", 1, b"\0b") + struct.pack(">i", count) + bytes(40)


def held(data: bytes | None) -> dict[int, bytes]:
    return {number: content for number, content, _ in photoshop.resources(present(data))}


def psd_of(resources: bytes) -> bytes:
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 6, 8, 3)
    return header + bytes(4) + len(resources).to_bytes(4, "big") + resources + bytes(4) + b"\0\0" + bytes(72)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_paths_and_guides_turn_with_the_pixels_and_guides_scale(orientation: int) -> None:
    """The marked pixel of the upright picture is where the path and the guides say."""
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[2, 5] = 255
    corner = resource(PATH, path((5.5 / 20, 2.5 / 10))) + resource(GUIDES, guides((5.5, False), (2.5, True)))
    tags = Image.Exif()
    tags[274] = orientation
    segment = next(iter(photoshop.segments(corner + resource(0x03ED, struct.pack(">4i", 3 << 16, 0, 7 << 16, 0)))))
    extra = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
    given: dict[str, Any] = {"quality": 100, "subsampling": 0, "exif": tags.tobytes(), "extra": extra}
    decoded = read(saved(Image.fromarray(pixels), "JPEG", **given))
    plane = next(iter(decoded.pages)).frame.planes[0][..., 1]
    y, x = map(int, np.unravel_index(plane.argmax(), plane.shape))
    height, width = plane.shape
    found = held(decoded.metadata.photoshop)
    assert points_of(found[PATH]) == [pytest.approx(((x + 0.5) / width, (y + 0.5) / height), abs=1e-6)]
    assert sorted(places_of(found[GUIDES]), key=lambda row: row[1]) == [(x + 0.5, False), (y + 0.5, True)]
    assert found[0x03ED][:4] == struct.pack(">i", (7 if orientation >= 5 else 3) << 16)
    larger = Page(Frame((np.repeat(np.repeat(noise(height, width, 3), 3, 0), 2, 1),)))
    data, notes = written([larger], "jpeg", decoded.metadata, EncodeOptions(dpi=9))
    again = held(read(data).metadata.photoshop)
    assert sorted(places_of(again[GUIDES]), key=lambda row: row[1]) == [(2 * x + 1, False), (3 * y + 1.5, True)]
    assert again[PATH] == found[PATH]
    assert again[0x03ED] == struct.pack(">4i", 9 << 16, 0, 9 << 16, 0)
    assert notes == ()


def test_a_photoshop_file_keeps_what_describes_the_picture_and_says_the_rest() -> None:
    kept = resource(PATH, path((0.5, 0.5))) + resource(0x0404, b"\x1c\2\x69\0\1a") + resource(0x040A, b"\1")
    kept += resource(GUIDES, guides((3, False)))
    usual = (
        resource(SLICES, slices(1)) + resource(0x03F3, bytes(9)) + resource(0x041E, bytes(4)) + resource(0x0414, b"1")
    )
    decoded = read(psd_of(kept + usual + resource(0x040A, b"\0")))
    assert (decoded.metadata.photoshop, decoded.notes) == (kept, ())
    for format in ("jpeg", "png", "tiff"):
        data, notes = written(decoded.pages, format, decoded.metadata)
        assert (held(read(data).metadata.photoshop), notes) == (held(kept), ())
    assert written(decoded.pages, "webp", decoded.metadata)[1] == (
        "IPTC and Photoshop's paths, copyright mark, guides left out: WebP cannot hold it",
    )
    assert written(decoded.pages, "jp2", decoded.metadata)[1] == (
        "Photoshop's paths, copyright mark, guides left out: JPEG 2000 cannot hold it",
    )
    more = resource(SLICES, slices(2)) + resource(0x0429, b"comps") + resource(SLICES, b"\0\0\0\x08slicesVlLs\0\0\0\3")
    assert read(psd_of(kept + more)).notes == ("Photoshop's slices, layer comps left out",)
    assert read(psd_of(usual)).metadata.photoshop is None


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_what_lies_in_pixels_of_the_source_is_left_out_of_other_files_too(format: str) -> None:
    samplers = resource(0x0431, struct.pack(">3i", 2, 1, 5))
    given = resource(PATH, path((0.5, 0.5))) + resource(SLICES, slices(2)) + samplers + resource(0x0BB9, b"other")
    data, _ = written([Page(Frame((np.asarray(picture()),)))], format.lower(), Metadata(photoshop=given))
    decoded = read(data)
    assert decoded.notes == ("Photoshop's slices, color samplers left out",)
    assert decoded.metadata.photoshop == resource(PATH, path((0.5, 0.5))) + resource(0x0BB9, b"other")


@pytest.mark.parametrize(("aspect", "across"), [(2.0, 150), (0.5, 600), (1.0, 300), (0.0, 300)])
def test_the_shape_of_pixels_of_a_photoshop_file_is_in_its_resolution(aspect: float, across: float) -> None:
    resolution = struct.pack(">i4xi4x", 300 << 16, 300 << 16)
    data = psd_of(resource(0x03ED, resolution) + resource(0x0428, struct.pack(">id", 1, aspect)))
    assert read(data).metadata.dpi == (across, 300)


def test_several_resources_of_iptc_are_one_behind_the_other() -> None:
    assert photoshop.iptc_of(resource(0x0404, b"ab") + resource(0x040B, b"url") + resource(0x0404, b"c")) == b"abc"
    assert photoshop.iptc_of(resource(0x040B, b"url")) is None
