"""TGA: the image ID and the extension area."""

from pathlib import Path

import pytest

from esrt_core.media.image.picture import Metadata, Picture
from tests.media.pictures import picture, read, reopened, saved, written


def tga_file(id_section: bytes = b"", area: dict[int, bytes] | None = None) -> bytes:
    data = saved(picture(), "TGA", id_section=id_section)
    if area is None:
        return data
    body = data[:-26]
    extension = bytearray(495)
    extension[:2] = (495).to_bytes(2, "little")
    for at, value in area.items():
        extension[at : at + len(value)] = value
    return body + extension + len(body).to_bytes(4, "little") + bytes(4) + b"TRUEVISION-XFILE.\0"


def read_tga(data: bytes, folder: Path) -> Picture:
    path = folder / "a.tga"
    path.write_bytes(data)
    return read(path)


def test_the_image_id_is_kept(tmp_path: Path) -> None:
    decoded = read_tga(tga_file(b"scanned in May\0"), tmp_path)
    assert decoded.metadata.comments == (b"scanned in May",)
    data, notes = written(decoded.pages, "tga", decoded.metadata)
    assert notes == ()
    assert data[0] == 14
    assert data[18:32] == b"scanned in May"
    path = tmp_path / "again.tga"
    path.write_bytes(data)
    assert (read(path).metadata.comments, read(path).notes) == ((b"scanned in May",), ())


def test_the_comment_of_the_extension_area_is_kept_and_the_rest_said(tmp_path: Path) -> None:
    area = {2: b"Jane", 43: b"first line", 43 + 81: b"second", 478: b"\x16\0\x0a\0"}
    decoded = read_tga(tga_file(b"id", area), tmp_path)
    assert decoded.metadata.comments == (b"id", b"first line\nsecond")
    assert decoded.notes == ("author, gamma in the extension area of the TGA left out",)
    assert reopened(written(decoded.pages, "gif", decoded.metadata)[0]).info["comment"] == b"id\nfirst line\nsecond"
    again = read_tga(written(decoded.pages, "tga", decoded.metadata)[0], tmp_path)
    assert again.metadata.comments == (b"id\nfirst line\nsecond",)


@pytest.mark.parametrize("area", [None, {}])
def test_a_tga_may_say_nothing(area: dict[int, bytes] | None, tmp_path: Path) -> None:
    decoded = read_tga(tga_file(b"", area), tmp_path)
    assert (decoded.metadata.comments, decoded.notes) == ((), ())


def test_an_extension_area_that_is_cut_off_is_none(tmp_path: Path) -> None:
    data = tga_file()
    assert read_tga(data[:-26] + (len(data) - 30).to_bytes(4, "little") + data[-22:], tmp_path).metadata.comments == ()


def test_what_a_tga_cannot_hold_is_said() -> None:
    given = Metadata(comments=(b"a" * 200, b"b" * 60, b"c" * 50))
    data, notes = written(read(saved(picture(), "PNG")).pages, "tga", given)
    assert data[18 : 18 + data[0]] == b"a" * 200 + b"\n" + b"c" * 50
    assert notes == ("comment of 60 bytes left out: TGA holds 255",)
