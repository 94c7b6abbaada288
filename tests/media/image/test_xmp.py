import pytest

from esrt_core.media.image import xmp

TURNS = pytest.mark.parametrize(
    ("turn", "left_top"),
    [(1, (0.1, 0.2)), (2, (0.6, 0.2)), (3, (0.6, 0.4)), (4, (0.1, 0.4))],
)


@pytest.mark.parametrize(
    "packet",
    [b'<x tiff:Orientation="6"/>', b"<x tiff:Orientation='6'/>", b"<tiff:Orientation> 6 </tiff:Orientation>"],
)
def test_the_orientation_is_found_in_every_spelling_and_set_to_upright(packet: bytes) -> None:
    assert xmp.orientation(packet) == 6
    assert xmp.upright(packet, 6, 4, 3) == packet.replace(b"6", b"1")


@TURNS
def test_a_rectangle_of_microsoft_turns_by_its_corner(turn: int, left_top: tuple[float, float]) -> None:
    packet = b'<MPReg:x MPReg:Rectangle="0.1, 0.2, 0.3, 0.4"/>'
    expected = "{:g}, {:g}, 0.3, 0.4".format(*left_top).encode()
    assert xmp.upright(packet, turn, 10, 10) == packet.replace(b"0.1, 0.2, 0.3, 0.4", expected)


def test_a_rectangle_turned_by_a_quarter_swaps_its_sides() -> None:
    packet = b"<MPReg:Rectangle>0.1, 0.2, 0.3, 0.4</MPReg:Rectangle>"  # oriented by 6: from the left edge up to the top
    assert xmp.upright(packet, 6, 10, 10) == b"<MPReg:Rectangle>0.4, 0.1, 0.4, 0.3</MPReg:Rectangle>"


BOUNDARY = (
    '<Iptc4xmpExt:RegionBoundary Iptc4xmpExt:rbShape="rectangle" Iptc4xmpExt:rbUnit="{}" Iptc4xmpExt:rbX="{}"'
    ' Iptc4xmpExt:rbY="{}" Iptc4xmpExt:rbW="{}" Iptc4xmpExt:rbH="{}"/>'
)


def test_regions_of_iptc_turn_and_scale_in_both_units() -> None:
    relative = BOUNDARY.format("relative", 0.1, 0.2, 0.3, 0.4).encode()
    assert xmp.upright(relative, 3, 40, 20) == BOUNDARY.format("relative", 0.6, 0.4, 0.3, 0.4).encode()
    assert xmp.for_size(relative, (80, 40), (2.0, 2.0)) == relative
    pixels = BOUNDARY.format("pixel", 4, 2, 10, 8).encode()
    turned = xmp.upright(pixels, 6, 40, 20)
    assert turned == BOUNDARY.format("pixel", 10, 4, 8, 10).encode()
    assert xmp.for_size(turned, (60, 80), (3.0, 2.0)) == BOUNDARY.format("pixel", 30, 8, 24, 20).encode()


def test_the_corners_of_a_polygon_turn() -> None:
    point = '<rdf:li Iptc4xmpExt:rbX="{}" Iptc4xmpExt:rbY="{}"/>'
    form = '<Iptc4xmpExt:RegionBoundary Iptc4xmpExt:rbUnit="relative">' + 2 * point + "</Iptc4xmpExt:RegionBoundary>"
    packet = form.format(0.1, 0.2, 0.5, 0.7).encode()
    assert xmp.upright(packet, 6, 9, 9) == form.format(0.8, 0.1, 0.3, 0.5).encode()


def test_the_subject_turns_and_scales() -> None:
    form = f"<exif:SubjectArea><rdf:Seq>{3 * '<rdf:li>{}</rdf:li>'}</rdf:Seq></exif:SubjectArea>"
    turned = xmp.upright(form.format(2, 3, 4).encode(), 6, 28, 20)
    assert turned == form.format(16, 2, 4).encode()
    assert xmp.for_size(turned, (40, 84), (2.0, 3.0)) == form.format(32, 6, 8).encode()


def test_sizes_and_the_focal_plane_follow_the_result() -> None:
    packet = (
        b"<x exif:PixelXDimension='28' exif:FocalPlaneXResolution=\"300/7\"><tiff:ImageLength>20</tiff:ImageLength></x>"
    )
    scaled = xmp.for_size(packet, (42, 40), (1.5, 2.0))
    assert b"exif:PixelXDimension='42'" in scaled
    assert b"<tiff:ImageLength>40<" in scaled
    assert b'exif:FocalPlaneXResolution="450000/7000"' in scaled


def test_a_part_of_extended_xmp_that_is_missing_is_noticed() -> None:
    head = xmp.EXTENDED_SEGMENT + b"A" * 32 + (6).to_bytes(4, "big")
    first, second = head + (0).to_bytes(4, "big") + b"abc", head + (3).to_bytes(4, "big") + b"def"
    assert xmp.joined([second, first], b"A" * 32) == b"abcdef"
    assert xmp.joined([first], b"A" * 32) is None
    assert xmp.joined([], b"") == b""


def test_of_several_extended_packets_that_of_the_first_packet_counts() -> None:
    head = xmp.EXTENDED_SEGMENT + b"%s" + (3).to_bytes(4, "big") + bytes(4) + b"%s"
    parts = [head % (name * 32, text) for name, text in ((b"A", b"abc"), (b"B", b"def"), (b"C", b"ghi"))]
    assert xmp.joined(parts, b"HasExtendedXMP='" + b"B" * 32) == b"def"


def test_packets_that_cannot_be_put_together_are_not() -> None:
    main = b'<rdf:RDF xmlns:rdf="r"><rdf:Description/></rdf:RDF>'
    assert xmp.merged(main, b'<rdf:RDF xmlns:rdf="r"><rdf:Description n:a="1"/></rdf:RDF>') is None  # prefix undeclared
    assert xmp.merged(main, b"no packet") is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_text_in_every_encoding(encoding: str) -> None:
    assert xmp.text("<x>J\u00e9</x>".encode(encoding)) == "<x>J\u00e9</x>"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_packets_of_wide_characters_turn_too(encoding: str, mark: str) -> None:
    packet = mark + '<?xml version="1.0" encoding="UTF-16"?><x>J\u00e9</x><tiff:Orientation>6</tiff:Orientation>'
    stored = packet.encode(encoding).removesuffix(b"\0")  # as the padding of a TIFF's tag is taken off
    expected = packet.removeprefix("\ufeff").replace("UTF-16", "UTF-8").replace("6<", "1<")
    assert xmp.orientation(stored) == 6
    assert xmp.upright(stored, 6, 4, 3) == expected.encode()


@pytest.mark.parametrize(
    "part",
    [
        b' hdrgm:Version="1.0"',
        b" hdrgm:Version='1.0'",
        b"<hdrgm:Version>1.0</hdrgm:Version>",
        b" GCamera:MotionPhoto='1'",
        b"<GCamera:MotionPhotoVersion>1</GCamera:MotionPhotoVersion>",
        b"<GCamera:MicroVideoOffset/>",
        b"<Container:Directory><rdf:Seq/></Container:Directory>",
    ],
)
def test_what_says_that_further_images_follow_is_dropped(part: bytes) -> None:
    form = b"<a%s/>" if part.startswith(b" ") else b"<a>%s</a>"
    assert xmp.upright(form % part, 1, 4, 3) == form % b""
