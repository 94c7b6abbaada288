import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from esrt_core.errors import MediaError
from esrt_core.media.video import probe
from esrt_core.media.video.clip import ColorTags, Mastering
from esrt_core.media.video.ffmpeg import open_clip
from esrt_core.media.video.probe import probe_clip
from esrt_core.media.video.scan import Scan
from tests.pipeline.clips import make, picture, sound, x264

DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def test_rate_size_and_streams_are_exact(tmp_path: Path) -> None:
    arguments = [*picture(rate="24000/1001"), *sound(), *x264(), "-c:a", "aac", "-metadata:s:a:0", "language=ger"]
    clip = probe_clip(make(tmp_path / "a.mp4", *arguments))
    assert (clip.container, clip.video.codec, clip.video.width, clip.video.height) == ("mov", "h264", 32, 24)
    assert (clip.video.timing.rate, clip.video.timing.variable) == (Fraction(24000, 1001), False)
    assert clip.video.timing.duration == Fraction(10 * 1001, 24000)
    assert [(stream.kind, stream.codec, stream.language) for stream in clip.other_streams] == [("audio", "aac", "ger")]


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation_is_read(tmp_path: Path, angle: int) -> None:
    upright = make(tmp_path / "up.mp4", *picture(seconds=0.1), *x264())
    turned = make(tmp_path / "turned.mp4", "-display_rotation", str(angle), "-i", str(upright), "-c", "copy")
    video = probe_clip(turned).video
    assert (video.rotation, video.mirrored) == (angle, False)


def test_mirroring_is_read(tmp_path: Path) -> None:
    upright = make(tmp_path / "up.mp4", *picture(seconds=0.1), *x264())
    turned = make(tmp_path / "turned.mp4", "-display_hflip", "-i", str(upright), "-c", "copy")
    assert probe_clip(turned).video.mirrored


def test_hdr_tags_are_read(tmp_path: Path) -> None:
    tags = "format=yuv420p10le,setparams=range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    parameters = f"mastering-display={DISPLAY}:cll=1000,400"
    source = [*picture(seconds=0.1), "-vf", tags, "-c:v", "libx264", "-x264-params", parameters]
    video = probe_clip(make(tmp_path / "hdr.mkv", *source)).video
    assert video.colors == ColorTags(range=1, matrix=9, primaries=9, transfer=16)
    assert video.colors.hdr == "PQ"
    assert video.layout.depth == 10
    assert video.mastering == Mastering(((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450)), (1, 10_000_000))
    assert video.mastering.text() == DISPLAY
    assert video.content_light == (1000, 400)


def test_pixels_that_are_not_square_and_interlacing_are_seen(tmp_path: Path) -> None:
    source = [*picture(rate="50", extra=",interlace,setsar=16/11"), "-c:v", "libx264", "-flags", "+ilme+ildct"]
    video = probe_clip(make(tmp_path / "tv.mkv", *source)).video
    assert (video.aspect, video.interlaced) == (Fraction(16, 11), True)


def test_alpha_is_seen_also_where_vp9_hides_it(tmp_path: Path) -> None:
    clear = ["-f", "lavfi", "-i", "color=white@0.5:size=32x24:duration=0.1,format=yuva444p"]
    prores = probe_clip(make(tmp_path / "a.mov", *clear, "-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"))
    vp9 = probe_clip(make(tmp_path / "a.webm", *clear, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"))
    assert prores.video.layout.alpha
    assert vp9.video.layout.alpha


def test_a_late_picture_starts_late(tmp_path: Path) -> None:
    clip = probe_clip(make(tmp_path / "late.mkv", "-itsoffset", "0.32", *picture(), *sound(1), *x264(), "-c:a", "aac"))
    assert clip.start == 0
    assert clip.video.timing.start == Fraction(32, 100)


def test_a_file_cut_off_is_told_with_its_length(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", *picture(seconds=4), *x264("-movflags", "+faststart")).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    clip = probe_clip(cut)
    assert clip.damage[-1].startswith("the file ends early: ")
    assert clip.damage[-1].endswith("of 4.00 s are present")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.mp4", None, "does not exist"),
        ("text.mp4", b"hello" * 100, "is not a clip that ffmpeg can read"),
        ("photo.jpg", b"\xff\xd8\xff\xe0" + b"hello" * 100, "if it is a picture, use: esrt upscale"),
        ("list.mp4", b"ffconcat version 1.0\nfile other.mkv\n", "is not a clip that ffmpeg can read"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=reason):
        probe_clip(path)


def test_a_picture_is_sent_to_the_other_command(tmp_path: Path) -> None:
    still = make(tmp_path / "a.png", *picture("16x16", seconds=0.04), "-frames:v", "1")
    with pytest.raises(MediaError, match=r"is a picture \(png_pipe\), not a clip; use: esrt upscale"):
        probe_clip(still)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has no video stream"):
        probe_clip(make(tmp_path / "sound.mp4", *sound(), "-c:a", "aac"))


def test_a_cover_is_no_picture_stream(tmp_path: Path) -> None:
    cover = make(tmp_path / "cover.png", *picture("16x16", seconds=0.04), "-frames:v", "1")
    song = ["-i", str(cover), *sound(), "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v:0", "attached_pic"]
    with pytest.raises(MediaError, match="has no video stream"):
        probe_clip(make(tmp_path / "song.m4a", *song, "-c:a", "aac", "-f", "mp4"))


class Breaking:
    """Wrap a container of PyAV, so that one of its methods fails."""

    def __init__(self, container: Any, method: str, error: BaseException) -> None:
        self._container = container
        self._method = method
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._method else getattr(self._container, name)

    def _fail(self, stream: Any) -> Iterator[Any]:
        yield from itertools.islice(getattr(self._container, self._method)(stream), 3)
        raise self._error


@pytest.mark.parametrize("method", ["demux", "decode"])
@pytest.mark.parametrize("bug", [TypeError, AttributeError, AssertionError, None])
def test_only_errors_of_the_decoder_are_the_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, bug: type[Exception] | None
) -> None:
    path = make(tmp_path / "a.mkv", *picture(), *x264())

    @contextmanager
    def breaking(clip: Path) -> Iterator[Any]:
        with open_clip(clip) as container:
            yield Breaking(container, method, bug("ours") if bug else av.error.InvalidDataError(1, "bad data"))

    monkeypatch.setattr(probe, "open_clip", breaking)
    if bug is None:
        assert any("bad data" in line for line in probe_clip(path).damage) == (method == "demux")
        return
    with pytest.raises(bug, match="ours"):
        probe_clip(path)


@pytest.mark.parametrize("bug", [TypeError, AttributeError, AssertionError])
def test_our_own_errors_while_scanning_are_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: type[Exception]
) -> None:
    def add(scan: Scan, packet: Any) -> None:
        raise bug("ours")

    monkeypatch.setattr(Scan, "add", add)
    with pytest.raises(bug, match="ours"):
        probe_clip(make(tmp_path / "a.mkv", *picture(), *x264()))
