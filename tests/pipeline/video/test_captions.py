"""Closed captions in the picture, wherever they are in the clip, and subtitles at the edges of a part."""

from fractions import Fraction
from pathlib import Path

import pytest

from esrt_core.media.video import ffmpeg
from esrt_core.media.video.captions import _plain, captions_of_packet
from esrt_core.media.video.probe import probe_clip
from tests.pipeline.clips import make, picture, streams, upscale, x264

HI = [(0x94, 0x20), (0x94, 0x20), (0x94, 0xAE), (0x94, 0xAE), (0x94, 0x70), (0x94, 0x70), (0xC8, 0x49), (0x94, 0x2F),
      (0x94, 0x2F)]  # fmt: skip
ERASE = [(0x94, 0x2C), (0x94, 0x2C)]
NTSC = Fraction(1001, 30000)


def captioned(path: Path, at: int = 0, frames: int = 30, until: int = 1000, marker: int = 0xFC) -> Path:
    """Write a clip whose frames carry CEA-608 in SEI messages: "HI" is loaded from frame `at` on, shown seven later.

    It is erased at frame `until`. The other frames have padding; `marker` is that of the triplets.
    """
    pairs = dict(enumerate(HI, at)) | dict(enumerate(ERASE, until))
    raw = path.with_suffix(".h264")
    source = [*picture("64x48", "30000/1001", frames / 30), *x264("-bf", "0", "-g", "1")]
    coded: list[bytes] = []
    for unit in make(raw, *source).read_bytes().split(b"\x00\x00\x00\x01"):
        coded.append(unit)
        if unit and unit[0] & 31 == 7:
            pair = pairs.get(sum(each.startswith(b"\x06\x04") for each in coded), (0x80, 0x80))
            body = b"\xb5\x00\x31GA94\x03" + bytes([0x41, 0xFF, marker, *pair, 0xFF])
            coded.append(b"\x06\x04" + bytes([len(body)]) + body + b"\x80")
    raw.write_bytes(b"\x00\x00\x00\x01".join(coded))
    return make(path, "-framerate", "30000/1001", "-i", str(raw), "-c", "copy")


def shown(path: str) -> list[tuple[float, float, str]]:
    """Return (begin, end, text) of the subtitles of a clip, in seconds."""
    text = ffmpeg.output_of(["-i", path, "-map", "0:s:0", "-f", "srt", "-"])
    found = []
    for block in text.strip().split("\n\n"):
        _, clock, *lines = block.splitlines()
        begin, end = (
            sum(float(part) * unit for part, unit in zip(each.replace(",", ".").split(":"), (3600, 60, 1), strict=True))
            for each in clock.split(" --> ")
        )
        found.append((begin, end, " ".join(lines).split("}")[-1].removesuffix("</font>")))
    return found


def near(found: list[tuple[float, float, str]], expected: list[tuple[Fraction, Fraction, str]]) -> bool:
    return len(found) == len(expected) and all(
        one[2] == other[2] and abs(one[0] - other[0]) < 0.002 and abs(one[1] - other[1]) < 0.002
        for one, other in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mov_text"), ("a.mkv", "subrip")])
def test_closed_captions_become_a_subtitle_stream(tmp_path: Path, name: str, codec: str) -> None:
    folder = tmp_path / "C# [1], 'x'"
    folder.mkdir()
    result = upscale(captioned(folder / name))
    assert ("subtitle", codec) in [(kind, found) for kind, found, _ in streams(Path(result.target))]
    assert near(shown(result.target), [(7 * NTSC, 30 * NTSC, "HI")])
    assert any("closed captions of the picture become a subtitle stream" in note for note in result.notes)


def test_captions_are_found_wherever_they_begin_and_end(tmp_path: Path) -> None:
    path = captioned(tmp_path / "a.mkv", at=40, frames=75, until=60)
    assert near(shown(upscale(path).target), [(47 * NTSC, 60 * NTSC, "HI")])


def test_a_caption_that_is_shown_at_the_edges_of_a_part_is_cut(tmp_path: Path) -> None:
    path = captioned(tmp_path / "a.mkv", at=5, frames=60, until=50)
    result = upscale(path, start=Fraction(1), end=Fraction(3, 2), output=str(tmp_path / "b.mkv"))
    assert near(shown(result.target), [(Fraction(0), Fraction(1, 2), "HI")])
    without = upscale(path, end=Fraction(1, 5), output=str(tmp_path / "c.mkv"))
    assert [kind for kind, _, _ in streams(Path(without.target))] == ["video"]


def test_captions_of_joined_recordings_are_shown_with_their_pictures(tmp_path: Path) -> None:
    part = captioned(tmp_path / "1.ts", at=10, frames=45, until=30).read_bytes()
    path = tmp_path / "a.ts"
    path.write_bytes(part + part)
    result = upscale(path, output=str(tmp_path / "b.mkv"))
    assert result.frames == 90
    first, second = (17 * NTSC, 30 * NTSC), (62 * NTSC, 75 * NTSC)
    assert near(shown(result.target), [(*first, "HI"), (*second, "HI")])


def test_what_is_not_cea_608_is_said_and_padding_is_nothing(tmp_path: Path) -> None:
    digital = upscale(captioned(tmp_path / "a.mkv", marker=0xFF))
    assert any("(CEA-708) are lost" in note for note in digital.notes)
    assert upscale(captioned(tmp_path / "b.mkv", at=900)).notes == ()
    assert probe_clip(tmp_path / "b.mkv").captions == frozenset()


@pytest.mark.parametrize("length", range(12))
def test_user_data_that_is_cut_off_is_no_caption(length: int) -> None:
    assert captions_of_packet((b"GA94\x03\x5f\xff" + b"\xfc\x94\x20" * 9)[:length]) <= {"CEA-608"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [(r"{\an7}{\pos(38,243)}HI", r"{\an7}HI"), (r"{\an7}A\N{\an7}\N{\an7}B", "{\\an7}A\nB"), (r"{\an7}\N{\an7}", ""),
     (r"{\i1}A{\i0} {\u1}B{\u0}{\c&HFF&}", "<i>A</i> <u>B</u>"), (r"A\hB", "A B")],
)  # fmt: skip
def test_captions_are_plain_text_of_srt(text: str, expected: str) -> None:
    assert _plain(text) == expected


def test_a_subtitle_that_is_shown_at_the_start_of_a_part_is_kept(tmp_path: Path) -> None:
    subtitle = tmp_path / "s.srt"
    rows = [("0,100", "0,400", "gone"), ("0,200", "1,000", "cut"), ("1,100", "1,300", "whole"), ("1,900", "2,000", "x")]
    subtitle.write_text("\n".join(f"1\n00:00:0{a} --> 00:00:0{b}\n{text}\n" for a, b, text in rows))
    path = make(tmp_path / "a.mkv", *picture(seconds=2), "-i", str(subtitle), *x264(), "-c:s", "srt")
    expected = [(Fraction(0), Fraction(1, 2), "cut"), (Fraction(6, 10), Fraction(8, 10), "whole")]
    for name in ("b.mkv", "b.mp4"):
        result = upscale(path, start=Fraction(1, 2), end=Fraction(3, 2), output=str(tmp_path / name))
        assert near(shown(result.target), expected)
