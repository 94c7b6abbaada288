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
