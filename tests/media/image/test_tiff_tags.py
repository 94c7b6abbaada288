import io
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile

from esrt_core.media.image import exif, photoshop, tiff, tiff_tags
from esrt_core.media.image.exif import Value
from esrt_core.media.image.metadata import for_size
from esrt_core.media.image.picture import CREDENTIALS, EncodeOptions, Metadata, Resolution, Unit
from tests.media.pictures import gray_profile, noise, read, srgb_profile, written

XP_TITLE = "T\u00eft".encode("utf-16-le") + b"\0\0"
IPTC = b"\x1c\2\x69\0\5title"
GivenTag = tuple[int, int, bytes | str | Sequence[float]]  # tag, type, value
AREA, POINT = ((1, 1, 0, 2, 1024, 0, 1, 1, 1025, 0, 1, kind) for kind in (1, 2))  # GTRasterTypeGeoKey


def tags(*given: GivenTag) -> list[tuple[int, int, int | None, bytes | str | Sequence[float], bool]]:
    return [
        (tag, kind, None if isinstance(value, bytes | str) else len(value), value, True) for tag, kind, value in given
    ]


def tags_of(file: tifffile.TiffFile) -> list[tifffile.TiffTags]:
    """Return the tags of every page."""
    return [page.aspage().tags for page in file.pages]


def file_of(*pages: dict[str, Any], **parameters: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **parameters) as writer:
        for page in pages:
            writer.write(metadata=None, software=False, **page)
    return file.getvalue()


def doubles(value: Value) -> list[float]:
    return list(struct.unpack(f"<{value.count}d", value.raw))


def geo(keys: tuple[int, ...], *more: GivenTag) -> bytes:
    return file_of({"data": noise(6, 8), "extratags": tags((34735, 3, keys), *more)})


@pytest.mark.parametrize(
    ("keys", "tie"), [(AREA, [6.0, 12.0, 0.0, 100.0, 200.0, 0.0]), (POINT, [6.5, 13.0, 0.0, 100.0, 200.0, 0.0])]
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_the_places_of_a_geotiff_scale(byteorder: str, keys: tuple[int, ...], tie: list[float]) -> None:
    """A point of a raster of areas is a corner of its pixel, of one of points the center."""
    given = tags((33550, 12, (10.0, 12.0, 0.0)), (33922, 12, (3.0, 4.0, 0.0, 100.0, 200.0, 0.0)), (34735, 3, keys))
    decoded = read(file_of({"data": noise(6, 8), "extratags": given}, byteorder=byteorder))
    metadata, _ = for_size(decoded.metadata, 16, 18)
    found = dict(metadata.tiff_tags)
    assert doubles(found[33550]) == [5.0, 4.0, 0.0]
    assert doubles(found[33922]) == tie


@pytest.mark.parametrize("keys", [AREA, POINT])
def test_a_transformation_maps_the_same_place_to_the_same_point(keys: tuple[int, ...]) -> None:
    matrix = (2.0, 0.5, 0.0, 100.0, 0.25, -3.0, 0.0, 200.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    decoded = read(geo(keys, (34264, 12, matrix)))
    metadata, _ = for_size(decoded.metadata, 16, 18)
    scaled = np.reshape(doubles(dict(metadata.tiff_tags)[34264]), (4, 4))
    half = 0.5 if keys is POINT else 0.0
    before = np.array([3.0, 4.0, 0.0, 1.0])
    after = np.array([(3 + half) * 2 - half, (4 + half) * 3 - half, 0.0, 1.0])
    assert scaled @ after == pytest.approx(np.reshape(matrix, (4, 4)) @ before)


def test_geotiff_is_kept_in_a_tiff_and_said_elsewhere() -> None:
    decoded = read(geo(AREA, (33550, 12, (10.0, 12.0, 0.0)), (34737, 2, "WGS 84|"), (42113, 2, "-9999")))
    data, notes = written(decoded.pages, "tiff", decoded.metadata)
    assert notes == ()
    with tifffile.TiffFile(io.BytesIO(data)) as result:
        found = result.pages.first.tags
        assert (found[34735].value, found[34737].value, found[42113].value) == (AREA, "WGS 84|", "-9999")
    assert written(decoded.pages, "png", decoded.metadata)[1] == (
        "GeoTIFF and TIFF tag 42113 left out: PNG cannot hold it",
    )


def test_geotiff_of_a_page_that_is_turned_is_left_out_and_said() -> None:
    decoded = read(geo(AREA, (33550, 12, (10.0, 12.0, 0.0)), (274, 3, (6,))))
    assert decoded.metadata.tiff_tags == ()
    assert decoded.notes == ("GeoTIFF left out: the page was turned",)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_text_iptc_ratings_and_private_tags_are_kept(byteorder: str) -> None:
    rational = (7, 2)
    given = tags(
        (285, 2, b"caf\xc3\xa9"),
        (286, 5, rational),
        (18246, 3, (4,)),
        (33723, 7, IPTC),
        (40091, 1, XP_TITLE),
        (65000, 2, b"private"),
    )
    decoded = read(
        file_of(
            {"data": noise(6, 8), "extratags": [*given[:1], (286, 5, 1, rational, True), *given[2:]]},
            byteorder=byteorder,
        )
    )
    data, notes = written(decoded.pages, "tiff", decoded.metadata)
    assert notes == ()
    with tifffile.TiffFile(io.BytesIO(data)) as result:
        found = result.pages.first.tags
        assert found[286].value == rational
        assert found[18246].value == 4
        assert found[33723].value == IPTC
        assert bytes(found[40091].value) == XP_TITLE
        assert found[65000].value == "private"
    assert b"caf\xc3\xa9\0" in data


def test_tags_that_may_point_into_the_file_are_left_out_and_said() -> None:
    decoded = read(file_of({"data": noise(6, 8), "extratags": tags((65001, 4, (1234,)), (37724, 7, b"layers"))}))
    assert decoded.metadata.tiff_tags == ()
    assert decoded.notes == ("TIFF tag 65001 left out: it may point into the old file", "Photoshop's layers left out")


def test_images_below_a_page_are_said() -> None:
    decoded = read(file_of({"data": noise(6, 8), "subifds": 1}, {"data": noise(3, 4)}))
    assert decoded.notes == ("1 smaller previews or other images below a page of the TIFF left out",)


@pytest.mark.parametrize(
    ("unit", "resolution"),
    [
        ("inch", Resolution(300, 150)),
        ("centimeter", Resolution(118, 59, Unit.CM)),
        ("none", Resolution(2, 1, Unit.NONE)),
    ],
)
def test_the_resolution_keeps_its_unit(unit: str, resolution: Resolution) -> None:
    given = file_of({"data": noise(6, 8), "resolution": (resolution.x, resolution.y), "resolutionunit": unit})
    decoded = read(given)
    assert decoded.metadata.resolution == resolution
    data, _ = written(decoded.pages, "tiff", decoded.metadata)
    with tifffile.TiffFile(io.BytesIO(data)) as result:
        found = result.pages.first.tags
        assert found["XResolution"].value == (resolution.x, 1)
        assert found["YResolution"].value == (resolution.y, 1)
        assert found["ResolutionUnit"].value.name == unit.upper()


def test_every_page_has_its_own() -> None:
    """Profile, resolution, description, IPTC, EXIF and orientation of each of three pages."""
    exif_less = {"data": noise(6, 8, 3), "photometric": "rgb", "resolution": (300, 300), "resolutionunit": "inch"}
    pages = (
        exif_less | {"description": "first", "iccprofile": srgb_profile()},
        {"data": noise(6, 8), "description": "second", "iccprofile": gray_profile(), "resolution": (150, 75)},
        {"data": noise(4, 4), "extratags": tags((33723, 7, IPTC), (274, 3, (6,)))},
    )
    decoded = read(file_of(*pages))
    data, notes = written(decoded.pages, "tiff", decoded.metadata)
    assert notes == ()
    with tifffile.TiffFile(io.BytesIO(data)) as result:
        found = tags_of(result)
    assert [each["ImageDescription"].value if 270 in each else None for each in found] == ["first", "second", None]
    profiles = [bytes(each[34675].value) if 34675 in each else None for each in found]
    assert profiles == [srgb_profile(), gray_profile(), None]
    assert [each["XResolution"].value for each in found] == [(300, 1), (150, 1), (1, 1)]
    assert [each["YResolution"].value for each in found] == [(300, 1), (75, 1), (1, 1)]
    assert [33723 in each for each in found] == [False, False, True]
    stripped, _ = written(decoded.pages, "tiff", decoded.metadata, EncodeOptions(strip_metadata=True))
    with tifffile.TiffFile(io.BytesIO(stripped)) as result:
        assert [270 in found for found in tags_of(result)] == [False, False, False]
    asked, _ = written(decoded.pages, "tiff", decoded.metadata, EncodeOptions(dpi=96))
    with tifffile.TiffFile(io.BytesIO(asked)) as result:
        assert [found["XResolution"].value for found in tags_of(result)] == [(96, 1)] * 3


def test_exif_of_every_page_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (1 << 40, 0):  # a classic TIFF, and a BigTIFF, whose directories have wide fields
        monkeypatch.setattr(tiff, "_CLASSIC_LIMIT", limit)
        blocks = []
        for comment in (b"ASCII\0\0\0one", b"ASCII\0\0\0two"):
            inner = {0x9286: Value(exif.UNDEFINED, len(comment), comment)}
            interoperability = {1: Value(exif.ASCII, 4, b"R98\0")}
            blocks.append(exif.build(exif.Directories("big", {}, inner, {}, interoperability)))
        first = read(file_of({"data": noise(6, 8)}, {"data": noise(4, 4)}))
        pages = [replace(page, metadata=Metadata(exif=block)) for page, block in zip(first.pages, blocks, strict=True)]
        data, _ = written(pages, "tiff", Metadata())
        with tifffile.TiffFile(io.BytesIO(data)) as result:
            assert result.is_bigtiff == (limit == 0)
        again = [page.metadata for page in read(data).pages]
        found = [exif.directories(each.exif) for each in again if each is not None and each.exif is not None]
        assert [each.exif[0x9286].raw[8:] for each in found] == [b"one", b"two"]
        assert [each.interoperability[1].raw for each in found] == [b"R98\0", b"R98\0"]


@pytest.mark.parametrize(("orientation", "expected"), [(1, "0.25, 0.5"), (6, "0.5, 0.25"), (3, "0.75, 0.5")])
def test_face_regions_turn_and_sizes_scale_with_an_oriented_page(orientation: int, expected: str) -> None:
    packet = b'<mwg-rs:Area stArea:x="0.25" stArea:y="0.5"/><mwg-rs:AppliedToDimensions stDim:w="8" stDim:h="6"/>'
    given = file_of({"data": noise(6, 8), "extratags": tags((700, 1, packet), (274, 3, (orientation,)))})
    decoded = read(given)
    metadata, _ = for_size(decoded.metadata, 2 * decoded.info.width, 2 * decoded.info.height)
    x, y = expected.split(", ")
    assert metadata.xmp is not None
    assert f'stArea:x="{x}" stArea:y="{y}"'.encode() in metadata.xmp
    sides = (12, 16) if orientation == 6 else (16, 12)
    assert 'stDim:w="{}" stDim:h="{}"'.format(*sides).encode() in metadata.xmp


def test_tifffile_s_own_description_is_not_carried() -> None:
    assert read(file_of({"data": noise(6, 8), "description": '{"shape": [6, 8]}'})).metadata.exif is None


@pytest.mark.parametrize(
    ("tag", "note"),
    [
        ((52545, 7, b"signed"), CREDENTIALS),
        ((37439, 12, (1.5,)), "the brightness of the samples (StoNits) left out"),
    ],
)
def test_what_belongs_to_the_old_samples_is_said(tag: GivenTag, note: str) -> None:
    decoded = read(file_of({"data": noise(6, 8), "extratags": tags(tag)}))
    assert decoded.metadata.tiff_tags == ()
    assert decoded.notes == (note,)


def test_counts_of_bytes_of_imagej_are_no_offsets() -> None:
    given = tags((50838, 4, (12, 34)), (50839, 1, b"metadata"))
    decoded = read(file_of({"data": noise(6, 8), "extratags": given}))
    assert decoded.notes == ()
    assert [tag for tag, _ in decoded.metadata.tiff_tags] == [50838, 50839]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("stored", ["<", ">"])
def test_iptc_that_is_stored_as_numbers_is_read(byteorder: str, stored: str) -> None:
    iptc = b"\x1c\2\x69\0\7caption"
    numbers = struct.unpack(f"{stored}3I", iptc)
    data = file_of({"data": noise(6, 8), "extratags": tags((33723, 4, numbers))}, byteorder=byteorder)
    assert struct.pack(f"{byteorder}3I", *numbers) in data
    found = read(data).metadata.photoshop
    assert found is not None
    assert photoshop.iptc_of(found) == iptc


def test_what_is_empty_makes_no_tag() -> None:
    """A TIFF has no values without data: other readers take such a tag for damage."""
    empty = Metadata(photoshop=photoshop.of_iptc(b""), xmp=b"", tiff_tags=((65000, Value(7, 0, b"")),))
    result, notes = written(read(file_of({"data": noise(6, 8)})).pages, "tiff", empty)
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert not {700, 33723, 65000} & {tag.code for tag in tags_of(file)[0]}
        assert all(tag.count for tag in tags_of(file)[0])
    assert notes == ()


def test_names_of_tags_for_a_note() -> None:
    assert tiff_tags.names({33550: Value(12, 0, b"")}) == "GeoTIFF"
    assert tiff_tags.names({700: Value(1, 0, b""), 65000: Value(1, 0, b"")}) == "TIFF tags 700, 65000"
