"""Clips as people have them: each kind of fault that public bug reports describe, with the right result."""

import re
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError, OptionError
from esrt_core.media.video import ffmpeg, reader
from esrt_core.media.video.damage import DamageLog, damage_report
from esrt_core.media.video.probe import probe_clip
from esrt_core.media.video.reader import ReadRequest, read_frames
from esrt_core.media.video.spherical import insert_boxes
from esrt_core.pipeline.video.options import VideoOptions, find_clips, skipped_files
from esrt_core.pipeline.video.plan import byte_text
from esrt_core.pipeline.video.resume import proven_seek
from tests.pipeline.clips import Repeaters, make, picture, sound, streams, times, upscale, x264

NOISE = ",noise=alls=60:allf=t"  # no two frames are equal
BAR = ",format=yuv420p,geq=lum='if(between(X,mod(N,30)*2,mod(N,30)*2+1),235,16)':cb=128:cr=128"  # moves every frame


def planes(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.reformat(format="gray").to_ndarray() for frame in container.decode(video=0)]


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {key.lower(): value for key, value in container.streams.video[0].metadata.items()}


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["60", "30", "24000/1001", "60000/1001", "50", "30000/1001"])
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_times_that_were_once_rounded_to_milliseconds_have_their_rate(tmp_path: Path, rate: str, suffix: str) -> None:
    rounded = make(tmp_path / "a.mkv", *picture(rate=rate, seconds=3), *x264())
    path = make(tmp_path / f"a{suffix}", "-i", str(rounded), "-c", "copy")
    frames = len(times(path))
    result = upscale(path)
    assert (Fraction(result.rate), result.frames, result.notes) == (Fraction(rate), frames, ())
    assert probe_clip(Path(result.target)).video.timing.rate == Fraction(rate)


@pytest.mark.slow
def test_soft_telecine_becomes_film_without_repeats(tmp_path: Path) -> None:
    film = make(tmp_path / "film.mkv", *picture(rate="24000/1001", seconds=3, extra=NOISE), *x264("-bf", "0"))
    pulldown = "setts=ts=round((floor(N/2)*5+mod(N\\,2)*3)*1001/60000/TB):duration=1"  # 3 fields, then 2
    path = make(tmp_path / "a.mkv", "-i", str(film), "-c", "copy", "-bsf:v", pulldown)
    assert {round(time * 100) for time in np.diff(times(path))} == {3, 5}
    result = upscale(path)
    assert (result.rate, result.frames, result.frames_reused) == ("24000/1001", len(times(film)), 0)
    assert any("unevenly spaced" in note for note in result.notes)
    assert times(Path(upscale(path, vfr="keep", overwrite=True).target)) == times(path)


@pytest.mark.parametrize("rate", [480, 1000])
def test_a_constant_rate_above_240_passes(tmp_path: Path, rate: int) -> None:
    path = make(tmp_path / "a.mp4", *picture(rate=str(rate), seconds=0.1), *x264())
    result = upscale(path)
    assert (result.rate, result.frames, result.notes) == (str(rate), rate // 10, ())


def test_an_inexact_average_does_not_become_the_rate(tmp_path: Path) -> None:
    """Frames of 33,367 us, as some muxers write them for 30000/1001."""
    timed = ["-vf", "settb=1/1000000,setpts=N*33367", "-fps_mode", "passthrough", "-enc_time_base", "1:1000000"]
    scale = ["-video_track_timescale", "1000000"]
    result = upscale(make(tmp_path / "a.mp4", *picture(rate="30", seconds=2), *timed, *x264(), *scale))
    assert (result.rate, result.frames) == ("30000/1001", 60)


def with_empty_frames(path: Path, empty: Callable[[int], bool]) -> Path:
    """Remove the data of some frames of an AVI: its chunks get the size 0, in the list and in the index."""
    data = bytearray(path.read_bytes())
    index = data.rindex(b"idx1")
    movi = data.index(b"movi")
    number = 0
    kept = bytearray()
    entries = bytearray()
    for at in range(index + 8, len(data) - 15, 16):
        kind, flags = data[at : at + 4], data[at + 4 : at + 8]
        offset, size = (int.from_bytes(data[at + k : at + k + 4], "little") for k in (8, 12))
        body = data[movi + offset + 8 : movi + offset + 8 + size]
        if kind == b"00dc":
            body = bytearray() if empty(number) else body
            number += 1
        entries += kind + flags + (len(kept) + 4).to_bytes(4, "little") + len(body).to_bytes(4, "little")
        kept += kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
    head = data[: movi - 4] + (len(kept) + 4).to_bytes(4, "little")
    tail = b"idx1" + len(entries).to_bytes(4, "little") + entries
    whole = head + b"movi" + kept + tail
    whole[4:8] = (len(whole) - 8).to_bytes(4, "little")
    path.write_bytes(whole)
    return path


def test_empty_frames_of_avi_are_time(tmp_path: Path) -> None:
    source = [*picture(seconds=2, extra=NOISE), *sound(2), "-c:v", "mjpeg", "-c:a", "mp3"]
    whole = make(tmp_path / "a.avi", *source)
    path = with_empty_frames(whole, lambda number: number == 1 or 10 < number < 31)
    stored = len(planes(path))
    frames = round(times(path)[-1] * 25) + 1
    assert frames >= stored + 21
    result = upscale(path, output=str(tmp_path / "b.mkv"))
    assert (result.frames, result.frames_computed, result.damage) == (frames, stored, ())
    assert any(f"{frames - stored} frames of the file are empty" in note for note in result.notes)
    shown = planes(Path(result.target))
    assert np.array_equal(shown[10], shown[30])  # held for 20 frames
    assert not np.array_equal(shown[30], shown[31])
    assert abs(times(Path(result.target))[-1] - (frames - 1) / 25) < 0.001
    assert abs(times(Path(result.target), "audio")[-1] - 2.0) < 0.1


def test_the_cropping_of_the_codec_is_applied(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", *picture("80x64", seconds=0.2), *x264("-qp", "0"))
    crop = "h264_metadata=crop_left=16:crop_right=0:crop_top=0:crop_bottom=0"
    path = make(tmp_path / "a.mp4", "-i", str(whole), "-c", "copy", "-bsf:v", crop)
    result = upscale(path, codec="ffv1", output=str(tmp_path / "b.mkv"))
    assert (result.source_size, result.size, result.frames) == ((64, 64), (128, 128), 5)
    expected = np.repeat(np.repeat(planes(whole)[0][:, 16:], 2, 0), 2, 1)
    assert np.array_equal(planes(Path(result.target))[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("later", [0, 600])
def test_joined_recordings_follow_each_other(tmp_path: Path, later: int) -> None:
    def part(name: str, seconds: float, *start: str) -> bytes:
        source = [*picture("64x48", seconds=seconds), *sound(seconds), *x264("-g", "10"), "-c:a", "aac", *start]
        return make(tmp_path / name, *source).read_bytes()

    offset = ["-output_ts_offset", str(later)] if later else []
    path = tmp_path / "joined.ts"
    path.write_bytes(part("1.ts", 1) + part("2.ts", 1.2, *offset))
    result = upscale(path, segment=Fraction(1, 2))
    assert (result.frames, result.damage) == (55, ())
    assert any("the clock of the file restarts at 1.0" in note for note in result.notes)
    target = Path(result.target)
    assert abs(times(target)[-1] - times(target)[0] - 54 / 25) < 0.03
    assert (
        len(times(target, "audio"))
        >= len(times(tmp_path / "1.ts", "audio")) + len(times(tmp_path / "2.ts", "audio")) - 1
    )
    ends = [times(target, kind)[-1] for kind in ("video", "audio")]
    assert abs(ends[0] - ends[1]) < 0.1
    preview = upscale(path, preview=True, start=Fraction(4, 5), end=Fraction(8, 5), output=str(tmp_path / "p.mkv"))
    shown = planes(Path(preview.target))
    assert len(shown) == 20
    assert all(np.abs(frame[:, :128].astype(int) - frame[:, 128:]).mean() < 12 for frame in shown)


@pytest.mark.slow
def test_damage_behind_a_seam_has_its_time(tmp_path: Path) -> None:
    part = make(tmp_path / "1.ts", *picture("64x48", seconds=4), *x264("-g", "10", "-bf", "0")).read_bytes()
    broken = bytearray(part)
    middle = len(broken) // 2 // 188 * 188
    broken[middle : middle + 188 * 8] = b"\x55" * 188 * 8
    path = tmp_path / "a.ts"
    path.write_bytes(part + bytes(broken))
    result = upscale(path)
    found = [re.findall(r"([\d.]+) s", line) for line in result.damage]
    assert found
    assert all(5.9 <= float(seconds) <= 6.1 for line in found for seconds in line)
    assert probe_clip(path).suspects == ("damaged data at 5.96 s",)


def test_a_frame_that_is_not_delivered_is_reported_with_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = probe_clip(make(tmp_path / "a.mkv", *picture(seconds=1), *x264()))
    packets = reader._packets_until_end

    def repeating(raw: Any, stream: Any) -> Iterator[Any]:
        last = None
        for number, packet in enumerate(packets(raw, stream)):
            packet.pts = last if number == 13 else packet.pts
            last = packet.pts
            yield packet

    monkeypatch.setattr(reader, "_packets_until_end", repeating)
    log = DamageLog(0)
    frames = list(read_frames(clip, ReadRequest(), log.on_error))
    assert len(frames) == 24
    assert damage_report(clip, log.drain()) == (("dropped a frame at 0.48 s: its time repeats or goes backward",), ())


def test_a_change_of_pixel_shape_is_said(tmp_path: Path) -> None:
    def part(name: str, shape: str, start: float) -> bytes:
        source = [*picture("64x48", seconds=0.4, extra=f",setsar={shape}"), "-c:v", "mpeg2video", "-g", "5"]
        return make(tmp_path / name, *source, "-output_ts_offset", str(start), "-muxdelay", "0").read_bytes()

    path = tmp_path / "a.ts"
    path.write_bytes(part("1.ts", "1", 0) + part("2.ts", "4/3", 0.4))
    assert any("size or pixel shape of the picture change at 0.36 s" in note for note in probe_clip(path).notes)


STBL = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def boxes(body: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(body):
        size = int.from_bytes(body[at : at + 4])
        yield body[at : at + size]
        at += size


def sample_table(path: Path, kind: bytes) -> bytes:
    """Return the body of a box of the first track's sample table."""
    data = path.read_bytes()
    for name in (*STBL, kind):
        data = next(box for box in boxes(data) if box[4:8] == name)[8:]
    return data


def with_tables(body: bytes, tables: dict[bytes, bytes]) -> bytes:
    rebuilt = b""
    for box in boxes(body):
        inner = with_tables(box[8:], tables) if box[4:8] in STBL else tables.get(box[4:8], box[8:])
        rebuilt += (len(inner) + 8).to_bytes(4) + box[4:8] + inner
    return rebuilt


@pytest.mark.slow
def test_a_change_of_size_between_sample_entries_is_said(tmp_path: Path) -> None:
    """An MP4 that was joined without encoding: its second half has a sample entry, and a size, of its own."""
    one, two = (
        make(tmp_path / f"{size}.mp4", *picture(size, seconds=0.4), *x264("-bf", "0")) for size in ("64x48", "96x64")
    )
    listing = tmp_path / "l.ffconcat"
    listing.write_text(f"ffconcat version 1.0\nfile {one.name}\nfile {two.name}\n")
    path = make(tmp_path / "a.mp4", "-f", "concat", "-i", str(listing), "-c", "copy")
    sizes = [int.from_bytes(sample_table(path, b"stsz")[at : at + 4]) for at in range(12, 52, 4)]
    first = int.from_bytes(sample_table(path, b"stco")[8:12])
    entries = sample_table(path, b"stsd")[8:] + sample_table(two, b"stsd")[8:]

    def numbers(*values: int) -> bytes:
        return b"".join(value.to_bytes(4) for value in values)

    tables = {b"stsd": numbers(0, 2) + entries, b"stsc": numbers(0, 2, 1, 10, 1, 2, 10, 2),
              b"stco": numbers(0, 2, first, first + sum(sizes))}  # fmt: skip
    path.write_bytes(with_tables(path.read_bytes(), tables))
    result = upscale(path)
    assert (result.frames, result.size) == (20, (128, 96))
    assert any("size or pixel shape of the picture change at 0.40 s" in note for note in result.notes)
    assert upscale(one).notes == ()


@pytest.fixture
def late_seeking(tmp_path: Path) -> Path:
    """Return an MPEG-TS with one key frame, in which every seek lands late or nowhere."""
    source = [*picture("64x48", seconds=14), *x264("-g", "1000", "-keyint_min", "1000", "-sc_threshold", "0")]
    return make(tmp_path / "a.ts", *source)


@pytest.mark.slow
def test_a_seek_that_lands_late_is_not_trusted(late_seeking: Path, tmp_path: Path) -> None:
    clip = probe_clip(late_seeking)
    assert proven_seek(clip, ReadRequest(), round(13 / clip.video.timing.time_base)) is None
    part = Path(upscale(late_seeking, start=Fraction(13), end=Fraction(27, 2), codec="h264", crf=0).target)
    expected = [np.repeat(np.repeat(plane, 2, 0), 2, 1) for plane in planes(late_seeking)[325:337]]
    assert len(planes(part)) == 13
    assert all(np.array_equal(found, wanted) for found, wanted in zip(planes(part), expected, strict=False))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start"), [("a.ts", "12"), ("a.mkv", "2/5"), ("a.avi", "13/25"), ("a.mp4", "11")])
def test_both_sides_of_a_preview_show_the_same_moment(tmp_path: Path, name: str, start: str) -> None:
    moving = ["-f", "lavfi", "-i", f"color=black:size=64x48:rate=25:duration=14{BAR}"]
    coded = ["-c:v", "mpeg4", "-bf", "2", "-q:v", "1"] if name == "a.avi" else x264("-g", "25", "-crf", "5")
    path = make(tmp_path / name, *moving, *sound(14), *coded, "-c:a", "mp3")
    begin = Fraction(start)
    result = upscale(path, preview=True, start=begin, end=begin + Fraction(3, 5), output=str(tmp_path / "p.mkv"))
    shown, source = planes(Path(result.target)), planes(path)
    assert len(shown) == 15
    for number, frame in enumerate(shown):
        left, right = (side.mean(0).argmax() for side in (frame[:, :128], frame[:, 128:]))
        expected = 2 * source[round(begin * 25) + number].mean(0).argmax()
        assert abs(int(left) - int(expected)) <= 2
        assert abs(int(right) - int(expected)) <= 2
    assert abs(times(Path(result.target), "audio")[-1] - 0.6) < 0.06


@pytest.mark.slow
def test_the_alpha_of_vp9_is_kept_in_every_segment(tmp_path: Path) -> None:
    half = "color=blue:size=64x48:rate=25:duration=1.2,format=yuva420p,geq=lum='p(X,Y)':a='if(lt(X,32),255,0)'"
    path = make(tmp_path / "a.webm", "-f", "lavfi", "-i", half, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")
    result = upscale(path, segment=Fraction(1, 2))
    raw = ffmpeg.output_of(["-c:v", "libvpx-vp9", "-i", result.target, "-vf", "alphaextract,scale=4:1,showinfo",
                            "-f", "framemd5", "-"])  # fmt: skip
    assert raw.count("\n0,") == 30
    target = make(
        tmp_path / "alpha.mkv", "-c:v", "libvpx-vp9", "-i", result.target, "-vf", "alphaextract", "-c:v", "ffv1"
    )
    assert all(plane[:, :60].min() > 200 and plane[:, 68:].max() < 50 for plane in planes(target))
    assert times(Path(result.target)) == times(path)
    assert tags(Path(result.target))["alpha_mode"] == "1"


def test_a_flattened_clip_does_not_claim_alpha(tmp_path: Path) -> None:
    half = ["-f", "lavfi", "-i", "color=white@0.5:size=32x24:duration=0.1,format=yuva420p"]
    path = make(tmp_path / "a.webm", *half, "-c:v", "libvpx-vp9")
    result = upscale(path, output=str(tmp_path / "b.mkv"), codec="h264")
    assert "alpha_mode" not in tags(Path(result.target))
    assert probe_clip(Path(result.target)).video.pixels == "yuv420p"
    assert any(
        "transparency is flattened" in note for note in upscale(path, codec="vp9", output=str(tmp_path / "c.mp4")).notes
    )


def test_statistics_of_the_sources_packets_are_not_copied(tmp_path: Path) -> None:
    stale = ["BPS=123", "NUMBER_OF_BYTES=5", "_STATISTICS_TAGS=BPS", "BPS-eng=9", "title=Film"]
    named = [argument for tag in stale for argument in ("-metadata:s:v:0", tag)]
    kept = ["-metadata:s:a:0", "BPS=64000"]
    path = make(tmp_path / "a.mkv", *picture(seconds=0.2), *sound(0.2), *x264(), "-c:a", "aac", *named, *kept)
    target = Path(upscale(path).target)
    assert not {"bps", "bps-eng", "number_of_bytes", "_statistics_tags"} & tags(target).keys()
    assert tags(target)["title"] == "Film"
    with av.open(str(target)) as container:
        assert container.streams.audio[0].metadata["BPS"] == "64000"


@pytest.mark.slow
def test_sound_that_no_container_holds_is_converted_or_left_out(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flv", *picture(seconds=1), *sound(1), *x264(), "-c:a", "nellymoser", "-ar", "22050")
    converted = upscale(path, output=str(tmp_path / "b.mkv"))
    dropped = upscale(path, output=str(tmp_path / "c.mkv"), drop=True)
    assert [codec for _, codec, _ in streams(Path(converted.target))] == ["h264", "flac"]
    assert any("nellymoser) is converted to flac" in note for note in converted.notes)
    assert [codec for _, codec, _ in streams(Path(dropped.target))] == ["h264"]


def scrambled(path: Path) -> Path:
    """Scramble the payload of all packets of sound and picture, as pay television does."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF in (0x100, 0x101) and data[at + 3] & 0x10:
            data[at + 3] |= 0x80
            start = at + 5 + data[at + 4] if data[at + 3] & 0x20 else at + 4
            data[start : at + 188] = bytes(byte ^ 0x5A for byte in data[start : at + 188])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["common", "FairPlay", "WebM", "television"])
def test_an_encrypted_clip_is_called_encrypted(tmp_path: Path, kind: str) -> None:
    source = [*picture("64x48", seconds=1), *sound(1), *x264(), "-c:a", "aac"]
    if kind == "common":
        key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "7" * 32, "-encryption_kid", "a" * 32]
        path = make(tmp_path / "a.mp4", *source, *key)
    elif kind == "FairPlay":
        path = make(tmp_path / "a.mp4", *source)
        path.write_bytes(path.read_bytes().replace(b"avc1", b"drmi"))
    elif kind == "WebM":
        path = make(tmp_path / "a.mkv", *source, "-metadata:s:v:0", "enc_key_id=a")
    else:
        path = scrambled(make(tmp_path / "a.ts", *source))
    with pytest.raises(MediaError, match="is encrypted"):
        probe_clip(path)


def test_a_folder_reads_every_clip_and_says_what_it_skips(tmp_path: Path) -> None:
    for name in ("a.AVI", "a.divx", "b.f4v", "c.lrv", "d.rmvb", "e.xyz", "f.jpg", "a.AVI_x2.mkv", "b_x2.mkv"):
        (tmp_path / name).touch()
    found = [path.name for path in find_clips([str(tmp_path)], VideoOptions())]
    assert found == ["a.AVI", "a.divx", "b.f4v", "c.lrv", "d.rmvb"]
    assert skipped_files([str(tmp_path)]) == ["skipped, because their suffixes are not those of clips: 1 .xyz"]


def test_animated_pictures_of_a_folder_are_named_with_their_command(tmp_path: Path) -> None:
    for name, source in (("a.gif", "-f gif"), ("b.PNG", "-f apng"), ("c.png", "-frames:v 1")):
        make(tmp_path / name, *picture("16x16", seconds=0.2), *source.split())
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "d.webp", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "e.webp")
    advice = f"use: esrt upscale {tmp_path}/*.PNG {tmp_path}/*.gif {tmp_path}/*.webp"
    assert skipped_files([str(tmp_path)]) == [f"skipped animated pictures; {advice}"]
    with pytest.raises(OptionError, match=r"contains no clips; .* for its animated pictures use: esrt upscale "):
        find_clips([str(tmp_path)], VideoOptions())
    assert find_clips([str(tmp_path / "a.gif")], VideoOptions()) == [tmp_path / "a.gif"]
    assert skipped_files([str(tmp_path / "a.gif")]) == []


@pytest.mark.slow
def test_clips_of_a_folder_whose_container_is_not_written_become_matroska(tmp_path: Path) -> None:
    make(tmp_path / "a.avi", *picture(seconds=0.2), "-c:v", "mpeg4")
    shutil.copy(tmp_path / "a.avi", tmp_path / "a.divx")
    shutil.copy(tmp_path / "a.avi", tmp_path / "b.avi")
    names = []
    for path in find_clips([str(tmp_path)], VideoOptions()):
        result = upscale(path, many=True)
        names.append(Path(result.target).name)
        assert any("the result is Matroska" in note for note in result.notes)
    assert names == ["a.avi_x2.mkv", "a.divx_x2.mkv", "b_x2.mkv"]
    assert [path.name for path in find_clips([str(tmp_path)], VideoOptions())] == ["a.avi", "a.divx", "b.avi"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (61_000, "61 kB"),
        (1_250_000, "1.2 MB"),
        (3 * 10**9, "3.0 GB"),
        (999_600, "1.0 MB"),
        (9_960_000, "10 MB"),
        (250_000_000, "250 MB"),
        (999_400, "999 kB"),
    ],
)
def test_sizes_have_two_digits(size: int, text: str) -> None:
    assert byte_text(size) == text


def test_data_that_lasts_longer_than_the_part_is_cut(tmp_path: Path) -> None:
    subtitle = tmp_path / "s.srt"
    subtitle.write_text("1\n00:00:00,100 --> 00:00:09,000\nHello\n")
    path = make(
        tmp_path / "a.mkv", *picture(seconds=2), "-i", str(subtitle), *x264(), "-c:s", "srt", "-map", "0", "-map", "1"
    )
    clip = probe_clip(Path(upscale(path, end=Fraction(1, 2)).target))
    assert clip.duration <= Fraction(6, 10)


def test_a_data_track_that_would_be_broken_is_left_out(tmp_path: Path) -> None:
    """A track such as the `mebx` of phones: ffmpeg copies its packets, but writes no description of them."""
    chapters = tmp_path / "c.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n")
    path = make(tmp_path / "a.mov", *picture(seconds=0.5), "-i", str(chapters), "-map_chapters", "1", *x264())
    data = path.read_bytes()
    assert data.count(b"text\x00\x00\x00\x00\x00\x00\x00\x01") == 1
    data = data.replace(b"text\x00\x00\x00\x00\x00\x00\x00\x01", b"mebx\x00\x00\x00\x00\x00\x00\x00\x01")
    data = data.replace(b"SubtitleHandler", b"Core Media Data").replace(b"chap", b"xxxx").replace(b"chpl", b"xxxx")
    path.write_bytes(data)
    assert [(each.kind, each.codec) for each in probe_clip(path).other_streams] == [("data", "unknown")]
    result = upscale(path)
    assert any("stream 1 (data unknown) is left out" in note for note in result.notes)
    assert [kind for kind, _, _ in streams(Path(result.target))] == ["video"]


def test_repeated_runs_use_no_other_names(tmp_path: Path) -> None:
    pool: Any = Repeaters()
    upscale(make(tmp_path / "a.mp4", *picture(seconds=0.12), *x264()), pool)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "a_x2.mp4"]


def spherical(path: Path, folder: Path) -> Path:
    """Write a clip with the boxes of a 360 degree clip, side by side and equirectangular."""

    def box(kind: bytes, body: bytes) -> bytes:
        return (len(body) + 8).to_bytes(4) + kind + body

    projection = box(b"prhd", bytes(16)) + box(b"equi", bytes(20))
    mono = box(b"svhd", bytes(4) + b"test\0") + box(b"proj", projection)
    make(path, *picture("64x32"), *sound(), *x264(), "-c:a", "aac", "-movflags", "+faststart")
    insert_boxes(path, box(b"st3d", bytes(4) + b"\2") + box(b"sv3d", mono), folder)
    return path


@pytest.mark.parametrize(("profile", "refused"), [(5, True), (8, False)])
def test_dolby_vision_without_a_base_layer_is_refused(tmp_path: Path, profile: int, refused: bool) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=0.2), "-c:v", "libx265", "-x265-params", "log-level=none")
    flags = (profile << 9 | 6 << 3 | 0b101).to_bytes(2)  # level 6, with metadata and a base layer
    body = b"\1\0" + flags + bytes([0 if refused else 1 << 4]) + bytes(19)
    insert_boxes(path, (len(body) + 8).to_bytes(4) + b"dvcC" + body, tmp_path)
    if refused:
        with pytest.raises(MediaError, match="Dolby Vision profile 5"):
            probe_clip(path)
    else:
        assert probe_clip(path).video.codec == "hevc"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_spherical_and_stereo_metadata_are_kept(tmp_path: Path, suffix: str) -> None:
    path = spherical(tmp_path / "a.mp4", tmp_path)
    before = planes(path)
    assert len(before) == 10
    result = upscale(path, output=str(tmp_path / f"b{suffix}"), codec="h264", crf=0)
    clip = probe_clip(Path(result.target))
    assert clip.spherical
    assert [stream.kind for stream in clip.other_streams] == ["audio"]
    assert len(times(Path(result.target), "audio")) == len(times(path, "audio"))
    assert all(np.array_equal(np.repeat(np.repeat(small, 2, 0), 2, 1), large)
               for small, large in zip(before, planes(Path(result.target)), strict=True))  # fmt: skip
    if suffix == ".mkv":
        assert tags(Path(result.target))["stereo_mode"] == "left_right"
    else:
        assert b"st3d\0\0\0\0\2" in Path(result.target).read_bytes()
    again = upscale(Path(result.target), output=str(tmp_path / "c.mp4"))
    assert probe_clip(Path(again.target)).spherical
    assert b"st3d\0\0\0\0\2" in Path(again.target).read_bytes()


def sounds(path: str) -> list[str]:
    return [codec for kind, codec, _ in streams(Path(path)) if kind == "audio"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "audio", "expected"),
    [("b.mkv", "copy", ["aac", "flac"]), ("b.mkv", "flac", ["flac", "flac"]), ("b.mp4", "aac", ["aac", "aac"]),
     ("b.webm", "opus", ["opus", "opus"]), ("b.mov", "alac", ["alac", "alac"]), ("b.mp4", "none", [])],
)  # fmt: skip
def test_sound_is_kept_converted_or_left_out_as_asked(
    tmp_path: Path, name: str, audio: str, expected: list[str]
) -> None:
    surround = ["-f", "lavfi", "-i", "anoisesrc=d=1,aformat=channel_layouts=5.1(side)"]
    maps = ["-map", "0", "-map", "1", "-map", "2"]
    source = [*picture(seconds=1), *sound(1), *surround, *maps, *x264(), "-c:a:0", "aac", "-c:a:1", "flac"]
    result = upscale(make(tmp_path / "a.mkv", *source), output=str(tmp_path / name), audio=audio)
    assert sounds(result.target) == expected
    assert all(abs(times(Path(result.target), "audio")[-1] - 1.0) < 0.1 for _ in expected)


@pytest.mark.slow
def test_sound_that_a_container_does_not_hold_is_refused_with_ways_that_work(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=1), *sound(1), *x264(), "-c:a", "flac")
    with pytest.raises(OptionError, match=r"use -o .*b.mkv, or --audio aac to convert it, or --drop-streams"):
        upscale(path, output=str(tmp_path / "b.ts"))
    assert sounds(upscale(path, output=str(tmp_path / "b.ts"), audio="aac").target) == ["aac"]
    assert sounds(upscale(path, output=str(tmp_path / "c.ts"), drop=True).target) == []
    with pytest.raises(OptionError, match="mpegts does not support --audio flac; use one of aac, opus"):
        upscale(path, output=str(tmp_path / "d.ts"), audio="flac")


def test_the_sound_of_a_preview_is_converted_if_its_container_cannot_hold_it(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flv", *picture(seconds=1), *sound(1), *x264(), "-c:a", "nellymoser", "-ar", "22050")
    assert sounds(upscale(path, preview=True, output=str(tmp_path / "b.mkv")).target) == ["flac"]


@pytest.mark.slow
def test_other_streams_may_be_asked_for_when_the_work_is_resumed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=1.6), *sound(1.6), *x264(), "-c:a", "flac")
    with pytest.raises(KeyboardInterrupt):
        upscale(path, Repeaters(stop_at=18), segment=Fraction(1, 2))
    result = upscale(path, segment=Fraction(1, 2), audio="none")
    assert result.resumed_at > 0
    assert sounds(result.target) == []


def test_a_stream_that_is_only_announced_is_left_out(tmp_path: Path) -> None:
    """A TS whose tables list sound that never comes."""
    path = make(tmp_path / "a.ts", *picture("64x48", seconds=1), *sound(1), *x264(), "-c:a", "aac")
    packets = [path.read_bytes()[at : at + 188] for at in range(0, path.stat().st_size, 188)]
    path.write_bytes(b"".join(packet for packet in packets if int.from_bytes(packet[1:3]) & 0x1FFF != 0x101))
    result = upscale(path)
    assert (result.frames, result.damage) == (25, ())
    assert any("stream 1 (audio aac) is left out: there is no data in it" in note for note in result.notes)


def test_an_empty_video_stream_gives_way_to_one_with_frames(tmp_path: Path) -> None:
    """As in files of Windows Media for several bandwidths, of which a download was cut off."""
    two = ["-map", "0:v", "-map", "1:v", *x264(), "-t", "0.4"]
    late = ["-itsoffset", "9", *picture("16x16", seconds=0.4)]
    path = make(tmp_path / "a.mkv", *late, *picture("64x48", seconds=0.4), *two)
    assert [kind for kind, _, _ in streams(path)] == ["video", "video"]
    assert len(times(path)) == 0
    clip = probe_clip(path)
    assert (clip.video.index, clip.video.width, clip.video.timing.frames) == (1, 64, 10)
    assert clip.other_streams == ()
    assert [kind for kind, _, _ in streams(Path(upscale(path).target))] == ["video"]


@pytest.mark.slow
def test_the_alpha_of_vp8_is_kept(tmp_path: Path) -> None:
    half = "color=blue:size=64x48:rate=25:duration=0.4,format=yuva420p,geq=lum='p(X,Y)':a='if(lt(X,32),255,0)'"
    coded = ["-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"]
    result = upscale(make(tmp_path / "a.webm", "-f", "lavfi", "-i", half, *coded))
    assert (result.codec, result.frames, result.notes) == ("vp9", 10, ())
    target = make(tmp_path / "b.mkv", "-c:v", "libvpx-vp9", "-i", result.target, "-vf", "alphaextract", "-c:v", "ffv1")
    assert all(plane[:, :60].min() > 200 and plane[:, 68:].max() < 50 for plane in planes(target))


def seconds(frame: av.AudioFrame) -> float:
    assert frame.time is not None
    return frame.time


@pytest.mark.slow
@pytest.mark.parametrize("audio", ["copy", "flac", "opus", "aac"])
def test_the_sound_of_a_part_is_that_of_its_picture_also_if_converted(tmp_path: Path, audio: str) -> None:
    """Silence for a second, then a tone: heard in the part from its middle on."""
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=3,volume=enable='lt(t,1)':volume=0"]
    path = make(tmp_path / "a.ts", *picture("64x48", seconds=3), *tone, *x264(), "-c:a", "aac")
    part = upscale(path, audio=audio, start=Fraction(1, 2), end=Fraction(3, 2), output=str(tmp_path / "b.mkv"))
    with av.open(part.target) as container:
        samples = [(seconds(frame), np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0)]
    peak = max(level for _, level in samples)
    begin = min(time for time, level in samples if level > peak / 2)
    assert abs(begin - 0.5) < 0.05
    assert abs(samples[-1][0] - 1.0) < 0.06
    assert part.damage == ()
