from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from esrt_core.errors import MediaError
from esrt_core.media.video import reader
from esrt_core.media.video.ffmpeg import Process
from esrt_core.media.video.probe import probe_clip
from esrt_core.media.video.reader import ClipFrame, ReadRequest, read_frames
from tests.pipeline.clips import make, picture, x264

FULL = "scale=out_range=pc,format=yuvj420p"


def read(path: Path, request: ReadRequest = ReadRequest()) -> list[ClipFrame]:  # noqa: B008 (frozen)
    complaints: list[str] = []
    frames = list(read_frames(probe_clip(path), request, complaints.append))
    assert complaints == []
    return frames


def test_frames_come_with_their_exact_times(tmp_path: Path) -> None:
    kept = ["-vf", "select='not(eq(n,3))'", "-fps_mode", "vfr"]
    frames = read(make(tmp_path / "a.mp4", *picture(), *kept, *x264()))
    times = [frame.tick * Fraction(1, 12800) for frame in frames]
    assert times == [Fraction(n, 25) for n in range(10) if n != 3]


def test_a_jump_gives_the_same_frames_as_reading_from_the_start(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=2), *x264("-g", "10"))
    all_frames = {frame.tick: frame.data for frame in read(path)}
    jumped = read(path, ReadRequest(after=Fraction(1)))
    assert 0 < len(jumped) < len(all_frames)
    assert jumped[0].tick * Fraction(1, 1000) <= 1
    assert all(np.array_equal(frame.data, all_frames[frame.tick]) for frame in jumped)


def test_full_range_samples_are_not_converted(tmp_path: Path) -> None:
    white = ["-f", "lavfi", "-i", "color=white:size=16x16:duration=0.04", "-vf", FULL, "-c:v", "libx264", "-qp", "0"]
    frame = read(make(tmp_path / "a.mkv", *white))[0].frame
    assert frame.full_range
    assert frame.planes[0].max() == 255


def test_transparency_is_laid_on_black_or_kept(tmp_path: Path) -> None:
    half = ["-f", "lavfi", "-i", "color=white@0.5:size=16x16:duration=0.04,format=yuva444p", "-c:v", "ffv1"]
    path = make(tmp_path / "a.mkv", *half)
    flat = read(path, ReadRequest(flatten=True))[0].frame
    kept = read(path)[0].frame
    assert flat.alpha is None
    assert abs(int(flat.planes[0][0, 0]) - (16 + 219 * 0.5)) <= 1
    assert kept.alpha is not None
    assert (int(kept.planes[0][0, 0]), int(kept.alpha[0, 0])) == (235, 127)


def test_rotation_is_applied_on_demand(tmp_path: Path) -> None:
    upright = make(tmp_path / "up.mp4", *picture(seconds=0.1), *x264())
    turned = make(tmp_path / "turned.mp4", "-display_rotation", "90", "-i", str(upright), "-c", "copy")
    stored, seen = read(turned)[0].frame, read(turned, ReadRequest(rotation=True))[0].frame
    assert (stored.width, stored.height, seen.width, seen.height) == (32, 24, 24, 32)
    assert np.array_equal(seen.planes[0], np.rot90(stored.planes[0]))


def test_fields_become_whole_frames(tmp_path: Path) -> None:
    source = [*picture(rate="50", extra=",interlace"), "-c:v", "libx264", "-flags", "+ilme+ildct", "-qp", "0"]
    path = make(tmp_path / "tv.mkv", *source)
    woven, whole = read(path), read(path, ReadRequest(deinterlace=True))
    assert [frame.tick for frame in whole] == [frame.tick for frame in woven]
    assert any(not np.array_equal(one.data, other.data) for one, other in zip(whole, woven, strict=True))


def test_rgb_becomes_studio_range_bt709(tmp_path: Path) -> None:
    red = ["-f", "lavfi", "-i", "color=red:size=16x16:duration=0.04,format=gbrp", "-c:v", "ffv1"]
    frame = read(make(tmp_path / "a.mkv", *red))[0].frame
    assert (frame.matrix, frame.full_range) == ("bt709", False)
    found = [int(plane[8, 8]) for plane in frame.planes]
    assert np.allclose(found, [63, 102, 240], atol=1)


def test_frames_of_avi_are_counted(tmp_path: Path) -> None:
    frames = read(make(tmp_path / "a.avi", *picture(), "-c:v", "mpeg4", "-bf", "2"))
    assert [frame.tick for frame in frames] == list(range(10))


def test_a_decoder_that_is_killed_is_not_taken_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[Process] = []

    class Watched(Process):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)  # type: ignore[arg-type]
            running.append(self)

    monkeypatch.setattr(reader, "Process", Watched)
    clip = probe_clip(make(tmp_path / "a.mkv", *picture("320x240", seconds=3), "-c:v", "ffv1"))
    frames = read_frames(clip, ReadRequest(), print)
    next(frames)
    running[-1]._process.kill()
    with pytest.raises(MediaError, match="the decoder was killed"):
        list(frames)


def test_metadata_that_is_not_unicode_does_not_hide_the_frames(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(), *x264(), "-metadata:s:v:0", "title=XYZXYZ")
    path.write_bytes(path.read_bytes().replace(b"XYZXYZ", b"XY\xff\xfeYZ"))
    assert (probe_clip(path).video.width, len(read(path))) == (32, 10)
