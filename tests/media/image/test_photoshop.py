from esrt_core.media.image import photoshop


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
    assert photoshop.upright(data, 1) == data
    assert photoshop.upright(data, 6) == iptc + damaged
    assert photoshop.upright(None, 6) is None


def test_iptc_alone_becomes_a_resource() -> None:
    assert photoshop.of_iptc(b"abc") == resource(0x0404, b"abc")


def test_several_resources_of_iptc_are_one_behind_the_other() -> None:
    assert photoshop.iptc_of(resource(0x0404, b"ab") + resource(0x040B, b"url") + resource(0x0404, b"c")) == b"abc"
    assert photoshop.iptc_of(resource(0x040B, b"url")) is None


def test_of_a_document_stays_what_describes_a_flat_picture() -> None:
    found = [(0x07D0, b"Path 1", b"points"), (0x0404, b"", b"iptc"), (0x0425, b"", b"digest"), (0x040B, b"", b"url")]
    elsewhere = [(number, b"", b"x") for number in (0x03ED, 0x0422, 0x0424, 0x040F, 0x040C, 0x0400, 0x0415)]
    kept = photoshop.of_document([*elsewhere, *found])
    assert [(number, content) for number, content, _ in photoshop.resources(kept)] == [
        (number, content) for number, _, content in found
    ]
    assert kept.startswith(b"8BIM\x07\xd0\x06Path 1\0")


def guides(*places: tuple[int, int]) -> bytes:
    rows = b"".join((32 * place).to_bytes(4, "big") + bytes([direction]) for place, direction in places)
    return resource(0x0408, bytes(12) + len(places).to_bytes(4, "big") + rows, b"\4name\0")


def test_guides_scale_with_the_picture_and_are_left_out_of_one_that_was_turned() -> None:
    rest, damaged = resource(0x0404, b"ab"), b"8BIM\4\4\0\0\0\0\xff\xffcut"
    data = guides((10, 0), (7, 1)) + rest + damaged
    assert photoshop.for_size(data, (2.0, 3.0)) == guides((20, 0), (21, 1)) + rest + damaged
    assert photoshop.for_size(None, (2.0, 3.0)) is None
    assert photoshop.upright(data, 6) == rest + damaged


def test_a_resolution_is_set_in_place() -> None:
    def resolution(dpi: int) -> bytes:
        return resource(0x03ED, 2 * ((dpi << 16).to_bytes(4, "big") + b"\0\1\0\1"))

    rest = resource(0x0404, b"odd", b"\4name\0")
    assert photoshop.with_resolution(rest + resolution(72) + rest, 300) == rest + resolution(300) + rest
