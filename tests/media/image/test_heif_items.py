"""What an AVIF or HEIF file has beside its main image, of boxes made here, and the color of an image of tiles."""

import pytest

from esrt_core.media.image import cicp
from esrt_core.media.image.heif_items import Beside, read_beside
from esrt_core.media.image.isobmff import ReadAt, bits_of, box, properties
from esrt_core.media.image.picture import CREDENTIALS
from tests.media.pictures import picture, read, saved

Properties = list[tuple[bytes, bytes]]
Item = tuple[bytes, Properties]  # type, properties
NCLX = (b"colr", b"nclx\0\x09\0\x10\0\x09\x80")
APPLE = b"urn:com:apple:photo:2020:aux:hdrgainmap\0"


def auxiliary(urn: bytes) -> Properties:
    return [(b"auxC", bytes(4) + urn)]


def number(value: int) -> bytes:
    return value.to_bytes(2, "big")


def file(items: dict[int, Item], references: list[tuple[bytes, int, list[int]]], *top: bytes) -> bytes:
    infos = [box(b"infe", b"\2\0\0\0", number(item), bytes(2), kind, b"\0") for item, (kind, _) in items.items()]
    held: list[bytes] = []
    rows = []
    for item, (_, own) in items.items():
        rows.append(number(item) + bytes([len(own)]) + bytes(range(len(held) + 1, len(held) + len(own) + 1)))
        held += [box(kind, content) for kind, content in own]
    refs = [
        box(kind, number(origin), number(len(targets)), *map(number, targets)) for kind, origin, targets in references
    ]
    parts = [
        box(b"pitm", bytes(4), number(1)),
        box(b"iinf", bytes(4), number(len(items)), *infos),
        box(b"iref", bytes(4), *refs),
        box(b"iprp", box(b"ipco", *held), box(b"ipma", bytes(4), len(rows).to_bytes(4, "big"), *rows)),
    ]
    return box(b"ftyp", b"heic", bytes(4)) + box(b"meta", bytes(4), *parts) + b"".join(top)


def reader(data: bytes) -> tuple[ReadAt, int]:
    return (lambda at, length: data[at : at + length]), len(data)


def test_a_main_image_alone_has_nothing_beside_it() -> None:
    items: dict[int, Item] = {1: (b"grid", []), 2: (b"hvc1", []), 3: (b"hvc1", []), 4: (b"hvc1", []), 5: (b"Exif", [])}
    items[6] = (b"hvc1", auxiliary(b"urn:mpeg:hevc:2015:auxid:1\0"))  # alpha
    references = [(b"dimg", 1, [2, 3]), (b"thmb", 4, [1]), (b"cdsc", 5, [1]), (b"auxl", 6, [1])]
    assert read_beside(*reader(file(items, references))) == Beside()


@pytest.mark.parametrize(
    ("item", "reference", "name"),
    [
        ((b"hvc1", []), [], "further image"),
        ((b"hvc1", auxiliary(APPLE)), [(b"auxl", 2, [1])], "HDR gain map"),
        ((b"hvc1", auxiliary(b"urn:mpeg:hevc:2015:auxid:2\0")), [(b"auxl", 2, [1])], "depth map"),
        ((b"hvc1", auxiliary(b"urn:com:apple:photo:2018:aux:portraiteffectsmatte\0")), [(b"auxl", 2, [1])],
         "auxiliary image"),
        ((b"tmap", []), [(b"dimg", 2, [1, 3])], "HDR gain map"),
    ],
)  # fmt: skip
def test_further_images_have_their_names(item: Item, reference: list[tuple[bytes, int, list[int]]], name: str) -> None:
    data = file({1: (b"hvc1", []), 2: item, 3: (b"Exif", [])}, reference)
    assert read_beside(*reader(data)).images == (name,)


def test_an_image_of_tiles_has_the_color_and_bits_of_its_first_tile() -> None:
    deep = (b"hvcC", bytes(17) + b"\xfa\xfa")  # 10 bits
    items: dict[int, Item] = {1: (b"grid", [(b"ispe", bytes(12))]), 2: (b"hvc1", [NCLX, deep])}
    data = reader(file(items, [(b"dimg", 1, [2])]))
    assert cicp.from_properties(properties(*data)) == cicp.CodePoints(9, 16)
    assert bits_of(*data) == 10
    stated = (b"colr", b"nclx\0\1\0\x0d\0\6\x80")
    items[1] = (b"grid", [stated])
    assert [each for each in properties(*reader(file(items, [(b"dimg", 1, [2])]))) if each[0] == b"colr"] == [stated]


def test_further_boxes_are_said() -> None:
    data = saved(picture(), "AVIF")
    assert read(data).notes == ()
    signed = box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481"), b"c2pa")
    assert read(data + signed + box(b"mpvd", b"video")).notes == (CREDENTIALS, "boxes of other kinds (mpvd) left out")


def test_a_sequence_beside_a_still_is_seen() -> None:
    assert read_beside(*reader(file({1: (b"hvc1", [])}, [], box(b"moov", b"")))).has_sequence


def test_further_images_of_a_heic_are_said() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = saved(picture(), "HEIF", save_all=True, append_images=[picture(), picture()])
    assert read(data).notes == ("left out beside the main image: further image (2)",)
