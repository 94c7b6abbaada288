"""Clips through the whole pipeline, with an engine that repeats pixels, so that results can be told exactly."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.media.video import mux as mux_module
from esrt_core.media.video.clip import ColorTags
from esrt_core.media.video.codecs import CODECS
from esrt_core.media.video.ffmpeg import run
from esrt_core.media.video.probe import probe_clip
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.run import prepare_clip, upscale_clip
from esrt_core.progress import Progress
from tests.pipeline.clips import Repeaters, make, picture, sound, streams, time_of, times, upscale, x264

HALF = Fraction(1, 2)
VARIABLE = ["-vf", "select='not(mod(n,2))+lt(mod(n,7),3)'", "-fps_mode", "vfr"]
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def luma(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [
            np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(frame.height, -1)[:, : frame.width]
            for frame in container.decode(video=0)
        ]


def doubled(plane: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(plane, 2, 0), 2, 1)


def test_a_clip_is_doubled_and_keeps_its_sound(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(), *sound(), *sound(pitch=880), "-map", "0", "-map", "1", "-map", "2",
                *x264(), "-c:a", "aac", "-metadata:s:a:1", "language=jpn")  # fmt: skip
    result = upscale(path)
    target = tmp_path / "a_x2.mp4"
    assert (result.target, result.size, result.frames, result.codec) == (str(target), (64, 48), 10, "h264")
    assert streams(target) == streams(path)
    assert times(target) == times(path)
    assert times(target, "audio") == times(path, "audio")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("pixels", "tags"),
    [
        ("yuv420p", "range=tv:colorspace=smpte170m"),
        ("yuv444p", "range=tv:colorspace=bt709"),
        ("yuv422p10le", "range=tv:colorspace=bt2020nc"),
        ("gray", "range=pc"),
    ],
)
def test_not_one_sample_changes_on_the_way(tmp_path: Path, pixels: str, tags: str) -> None:
    source = [*picture(seconds=0.12), "-vf", f"format={pixels},setparams={tags}", "-c:v", "ffv1"]
    path = make(tmp_path / "a.mkv", *source)
    upscale(path, codec="ffv1")
    with av.open(str(path)) as before, av.open(str(tmp_path / "a_x2.mkv")) as after:
        for small, large in zip(before.decode(video=0), after.decode(video=0), strict=True):
            assert (small.format.name, small.colorspace, small.color_range) == (
                large.format.name, large.colorspace, large.color_range,
            )  # fmt: skip
            assert np.array_equal(doubled(small.to_ndarray(channel_last=True)[: small.height]),
                                  large.to_ndarray(channel_last=True)[: large.height])  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_hdr_tags_survive_every_codec(tmp_path: Path, codec: str) -> None:
    tags = "format=yuv420p10le,setparams=range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    parameters = f"mastering-display={DISPLAY}:cll=1000,400"
    path = make(tmp_path / "a.mkv", *picture("64x48", seconds=0.12), "-vf", tags, "-c:v", "libx264", "-x264-params",
                parameters)  # fmt: skip
    result = upscale(path, codec=codec)
    video = probe_clip(Path(result.target)).video
    assert video.colors == ColorTags(range=1, matrix=9, primaries=9, transfer=16)
    assert video.layout.depth == 10
    assert (video.mastering, video.content_light) == (probe_clip(path).video.mastering, (1000, 400))


def test_rotation_and_pixel_shape_are_carried(tmp_path: Path) -> None:
    upright = make(tmp_path / "up.mp4", *picture(seconds=0.1, extra=",setsar=sar=128/117:max=1000"), *x264())
    turned = make(tmp_path / "turned.mp4", "-display_rotation", "90", "-i", str(upright), "-c", "copy")
    result = upscale(turned, size=SizeRequest(height=96))
    video = probe_clip(Path(result.target)).video
    assert (video.rotation, video.aspect) == (90, Fraction(128, 117))
    assert (video.width, video.height) == (96, 72)  # seen, it is 72 wide and 96 high


def test_exact_rates_stay_exact(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(rate="24000/1001", seconds=2), *x264())
    target = Path(upscale(path, segment=HALF).target)
    with av.open(str(target)) as container:
        found = sorted(time_of(packet) for packet in container.demux(video=0) if packet.size)
    assert found == [i * Fraction(1001, 24000) for i in range(48)]


def test_a_variable_rate_becomes_constant_and_repeated_frames_are_not_computed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(rate="30", seconds=2), *sound(2), *VARIABLE, *x264(), "-c:a", "aac")
    clip, pool = probe_clip(path), Repeaters()
    result = upscale(path, pool)
    after = probe_clip(Path(result.target)).video.timing
    assert clip.video.timing.variable
    assert (after.variable, after.rate) == (False, Fraction(30))
    assert abs(after.duration - clip.video.timing.duration) < Fraction(1, 30)
    assert pool.calls == result.frames_computed <= clip.video.timing.frames
    assert result.frames == result.frames_computed + result.frames_reused
    assert any("the frame rate is variable: converted to constant 30" in note for note in result.notes)


def test_a_variable_rate_can_keep_its_times(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(rate="30", seconds=2), *VARIABLE, *x264())
    target = Path(upscale(path, vfr="keep", segment=HALF).target)
    assert times(target) == times(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("late", ["audio", "video"])
def test_late_streams_stay_late(tmp_path: Path, name: str, late: str) -> None:
    delay = ["-itsoffset", "0.32"]
    inputs = [*picture(), *delay, *sound()] if late == "audio" else [*delay, *picture(), *sound(1)]
    path = make(tmp_path / name, *inputs, *x264(), "-c:a", "aac")
    target = Path(upscale(path).target)
    for kind in ("video", "audio"):
        assert np.allclose(times(target, kind), times(path, kind), atol=0.0011)


def test_everything_in_matroska_is_kept(tmp_path: Path) -> None:
    subtitle = tmp_path / "s.srt"
    subtitle.write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n")
    chapters = tmp_path / "c.txt"
    chapters.write_text(";FFMETADATA1\ntitle=Film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n")
    font = tmp_path / "font.ttf"
    font.write_bytes(bytes(100))
    cover = make(tmp_path / "cover.png", *picture("16x16", seconds=0.04), "-frames:v", "1")
    path = make(
        tmp_path / "a.mkv", *picture(seconds=1), *sound(1), *sound(1, 880), "-i", str(subtitle), "-i", str(chapters),
        "-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map_metadata", "4", "-map_chapters", "4", *x264(),
        "-c:a:0", "aac", "-c:a:1", "flac", "-c:s", "srt", "-metadata:s:a:0", "language=ger",
        "-metadata:s:a:1", "title=Comment", "-disposition:a:0", "0", "-disposition:a:1", "default",
        "-disposition:s:0", "forced", "-attach", str(font), "-metadata:s:t:0", "mimetype=font/ttf",
        "-attach", str(cover), "-metadata:s:t:1", "mimetype=image/png",
    )  # fmt: skip
    target = Path(upscale(path).target)

    def table(clip: Path) -> list[Any]:
        with av.open(str(clip)) as container:
            rows: list[Any] = [
                (stream.type, stream.language, int(stream.disposition), stream.metadata.get("title"))
                for stream in container.streams
            ]
            marks = [(each["start"], each["end"], each["metadata"]) for each in container.chapters()]
            return [*rows, marks, container.metadata["title"]]

    assert table(target) == table(path)
    assert times(target, "audio") == times(path, "audio")


def test_a_phones_own_tags_and_dates_are_kept(tmp_path: Path) -> None:
    tags = ["com.apple.quicktime.model=Phone", "creation_time=2024-05-01T10:00:00Z"]
    tagged = [argument for tag in tags for argument in ("-metadata", tag)]
    path = make(tmp_path / "a.mov", *picture(seconds=0.12), *x264(), *tagged, "-movflags", "use_metadata_tags")
    with av.open(upscale(path).target) as container:
        assert container.metadata["com.apple.quicktime.model"] == "Phone"
        assert container.metadata["creation_time"].startswith("2024-05-01T10:00:00")
        assert container.streams.video[0].metadata["creation_time"].startswith("2024-05-01T10:00:00")


def test_what_a_container_cannot_hold_is_refused_with_a_way_out_or_left_out(tmp_path: Path) -> None:
    font = tmp_path / "font.ttf"
    font.write_bytes(bytes(100))
    path = make(tmp_path / "a.mkv", *picture(), *x264(), "-attach", str(font), "-metadata:s:t:0", "mimetype=font/ttf")
    output = str(tmp_path / "b.mp4")
    with pytest.raises(
        OptionError, match=r"b.mp4 cannot contain stream 1 \(attachment .* use -o .*b.mkv, or --drop-str"
    ):
        upscale(path, output=output)
    result = upscale(path, output=output, drop=True)
    assert any("is left out" in note for note in result.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "expected"),
    [("a.webm", None, "vp9"), ("a.mp4", "hevc", "hevc"), ("a.mp4", "av1", "av1"), ("a.mov", "prores", "prores")],
)
def test_the_container_decides_the_codec_unless_one_is_asked(
    tmp_path: Path, name: str, codec: str | None, expected: str
) -> None:
    coded = ["-c:v", "libvpx-vp9"] if name.endswith("webm") else x264()
    result = upscale(make(tmp_path / name, *picture("64x48", seconds=0.12), *coded), codec=codec)
    assert result.codec == expected
    assert streams(Path(result.target))[0][1] == expected


def test_alpha_is_kept_by_a_codec_that_has_it_and_else_laid_on_black(tmp_path: Path) -> None:
    clear = ["-f", "lavfi", "-i", "color=white@0.5:size=32x24:duration=0.12,format=yuva444p10le"]
    path = make(tmp_path / "a.mov", *clear, "-c:v", "prores_ks", "-pix_fmt", "yuva444p10le")
    flat, kept = upscale(path), upscale(path, codec="prores", output=str(tmp_path / "kept.mov"))
    assert probe_clip(Path(kept.target)).video.layout.alpha
    assert not probe_clip(Path(flat.target)).video.layout.alpha
    assert any("transparency is flattened onto black" in note for note in flat.notes)


def test_odd_sizes_are_exact(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=0.12, extra=",scale=33:25"), "-c:v", "ffv1", "-pix_fmt", "yuv420p")
    result = upscale(path, size=SizeRequest(factor=Fraction(3)))
    assert (result.size, result.pixels) == ((99, 75), "yuv444p")
    assert luma(Path(result.target))[0].shape == (75, 99)


@pytest.mark.parametrize(
    ("factor", "depths", "passes"), [(Fraction(2), {8}, 1), (Fraction(8), {16}, 2), (Fraction(5, 2), {16}, 1)]
)
def test_frames_have_16_bits_between_passes_and_before_a_reduction(
    tmp_path: Path, factor: Fraction, depths: set[int], passes: int
) -> None:
    white = ["-f", "lavfi", "-i", "color=white:size=16x16:rate=25:duration=0.12,format=yuv420p", "-c:v", "ffv1"]
    path, pool = make(tmp_path / "a.mkv", *white), Repeaters()
    result = upscale(path, pool, size=SizeRequest(factor=factor), codec="ffv1", reuse=False)
    assert (pool.calls, pool.depths) == (3 * passes, depths)
    assert result.size == (int(16 * factor), int(16 * factor))
    assert result.precision == ("fp32" if depths == {16} else "fp16")
    for plane, value in zip(yuv(Path(result.target)), (235, 128, 128), strict=True):
        assert (plane == value).all()


def yuv(path: Path) -> list[np.ndarray]:
    """Return the planes of the first frame."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return [
            np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes
        ]


def test_a_height_is_exact_and_the_other_side_even(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture("34x24", seconds=0.12), *x264())
    assert upscale(path, size=SizeRequest(height=54)).size == (78, 54)


def test_interlace_is_said_and_can_be_removed(tmp_path: Path) -> None:
    source = [*picture(rate="50", extra=",interlace"), "-c:v", "libx264", "-flags", "+ilme+ildct"]
    path = make(tmp_path / "a.mkv", *source)
    assert any("--deinterlace" in note for note in upscale(path).notes)
    assert upscale(path, deinterlace=True, overwrite=True).notes == ()


def test_a_single_frame_is_a_clip(tmp_path: Path) -> None:
    assert upscale(make(tmp_path / "a.mp4", *picture(seconds=0.04), *x264())).frames == 1


def test_a_held_picture_is_computed_once(tmp_path: Path) -> None:
    still = ["-f", "lavfi", "-i", "color=red:size=32x24:rate=25:duration=1"]
    pool = Repeaters()
    result = upscale(make(tmp_path / "a.mkv", *still, "-c:v", "ffv1"), pool)
    assert (pool.calls, result.frames, result.share_reused) == (1, 25, 0.96)


def test_groups_of_frames_give_the_same_bytes_as_single_ones(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(rate="30", seconds=2), *VARIABLE, *x264())
    single = upscale(path, output=str(tmp_path / "single.mp4"))
    grouped = upscale(path, Repeaters(device="cuda:0"), output=str(tmp_path / "grouped.mp4"))
    assert (single.frames_computed, single.frames_reused) == (grouped.frames_computed, grouped.frames_reused)
    assert Path(single.target).read_bytes() == Path(grouped.target).read_bytes()


@pytest.mark.slow
def test_devices_share_the_frames_and_give_the_same_bytes(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(rate="30", seconds=2), *VARIABLE, *x264())
    single = upscale(path, output=str(tmp_path / "single.mp4"))
    pools = [Repeaters(device=f"cuda:{number}") for number in range(3)]
    plan = prepare_clip(path, VideoOptions(output=str(tmp_path / "shared.mp4")), pools[0])  # type: ignore[arg-type]
    shared = upscale_clip(plan, pools[0], others=pools[1:])  # type: ignore[arg-type]
    assert shared.device == "cuda:0, cuda:1, cuda:2"
    assert sum(pool.calls for pool in pools) == shared.frames_computed == single.frames_computed
    assert min(pool.calls for pool in pools) > 5
    assert Path(single.target).read_bytes() == Path(shared.target).read_bytes()


def test_a_part_has_its_frames_and_its_sound(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=2), *sound(2), *x264(), "-c:a", "libopus")
    target = Path(upscale(path, start=Fraction(4, 5), end=Fraction(8, 5)).target)
    expected = [time - 0.8 for time in times(path, "audio") if 0.8 <= time < 1.6]
    assert len(times(target)) == 20
    assert times(target)[0] == 0
    assert np.allclose(times(target, "audio"), expected, atol=0.0011)


def test_a_preview_shows_both_side_by_side(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=1), *sound(1), *x264(), "-c:a", "aac")
    result = upscale(path, preview=True)
    assert result.target == str(tmp_path / "a_x2_preview.mp4")
    assert luma(Path(result.target))[0].shape == (48, 128)


def test_damage_is_told_with_its_time_and_the_rest_is_upscaled(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ts", *picture("64x48", seconds=4), *x264("-g", "25"))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\x55" * 3000
    path.write_bytes(data)
    result = upscale(path)
    assert 95 <= result.frames <= 101
    assert any(" s: " in line or " s" in line for line in result.damage)
    assert any(1.0 <= float(word) <= 3.0 for line in result.damage for word in line.split() if _is_number(word))


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


def test_refusals_come_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=0.12), *x264())
    pool = Repeaters()
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (OptionError, "mp4 does not support prores; use: esrt video .* -o .*mkv", {"codec": "prores"}),
        (OptionError, r"'.xyz' is not a supported container", {"output": str(tmp_path / "a.xyz")}),
        (MediaError, "h264_nvenc cannot encode 64 x 48 px", {"encoder": "nvenc"}),
        (OptionError, "--crf must be from 0 to 51", {"crf": 99}),
        (OptionError, "h264 does not support --preset silly", {"preset": "silly"}),
        (OptionError, "libx264 does not support rgb24", {"pixels": "rgb24"}),
        (OptionError, "--start is beyond its end", {"start": Fraction(9)}),
        (OptionError, "at least as large as the requested 27 x 20 px", {"size": SizeRequest(height=20)}),
        (MediaError, "its frames have 32 x 24 px, more than the 767 px allowed; .* --max-pixels", {"max_pixels": 767}),
        (MediaError, "the result would have 64 x 48 px, more than the 3,071 px allowed", {"max_pixels": 3071}),
        (TargetError, "is the input", {"output": str(path), "overwrite": True}),
    ]
    for kind, message, options in cases:
        with pytest.raises(kind, match=message):
            upscale(path, pool, **options)
    monkeypatch.setattr("esrt_core.pipeline.video.plan.free_bytes", lambda folder: 1000)
    with pytest.raises(TargetError, match=r"about 3\.5 kB of disk space but 1\.0 kB are free"):
        upscale(path, pool)
    assert pool.calls == 0


def test_a_codecs_largest_size_is_known(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture("2400x2", seconds=0.04), *x264())
    with pytest.raises(MediaError, match="av1 supports at most 16384 x 8704"):
        upscale(path, codec="av1", size=SizeRequest(factor=Fraction(8)))


def test_progress_counts_frames_segments_and_reuse(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=1), *x264())
    pool, reports = Repeaters(), list[Progress]()
    plan = prepare_clip(path, VideoOptions(segment=HALF), pool)  # type: ignore[arg-type]
    upscale_clip(plan, pool, reports.append)  # type: ignore[arg-type]
    assert [report.done for report in reports] == list(range(26))
    assert reports[-1].stage.startswith("segment 3/3, ")
    assert {(report.total, report.unit) for report in reports} == {(25, "frames")}


def test_ffmpeg_gets_no_network_and_literal_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    popen = subprocess.Popen

    def spy(arguments: list[str], *rest: Any, **named: Any) -> Any:
        started.append(arguments)
        return popen(arguments, *rest, **named)

    path = make(tmp_path / "-a%d ' [x].mp4", *picture(seconds=0.12), *x264())
    monkeypatch.setattr(subprocess, "Popen", spy)
    upscale(path)
    reading = [arguments for arguments in started if "-i" in arguments]
    assert reading
    for arguments in reading:
        assert "-nostdin" in arguments
        assert arguments.count("-i") == arguments.count("-protocol_whitelist")
        inputs = [arguments[at + 1] for at, each in enumerate(arguments) if each == "-i"]
        assert all(each in ("pipe:0", "file:segments.ffconcat") or each.startswith("file:/") for each in inputs)


@pytest.mark.slow
@pytest.mark.parametrize("character", [*"#?%:|\\'\"*@=,;[]{} &$!~", "\n", "\udcff"])
def test_every_character_works_in_every_path(tmp_path: Path, character: str) -> None:
    folder = tmp_path / f"a{character}20b"
    folder.mkdir()
    path = make(tmp_path / "plain.mkv", *picture(seconds=0.12), *x264()).rename(folder / f"c{character}1 d.mkv")
    whole, preview = upscale(path), upscale(path, preview=True, output=f"{folder}/out{character}/")
    assert len(luma(Path(whole.target))) == len(luma(Path(preview.target))) == 3


def test_the_preflight_muxes_in_the_folder_of_the_work_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=0.12), *x264())
    folders: list[Path] = []

    def spy(arguments: list[str], folder: Path) -> None:
        folders.append(folder)
        run(arguments, folder)

    monkeypatch.setattr(mux_module, "run", spy)
    prepare_clip(path, VideoOptions(output=f"{tmp_path}/C# new/"), Repeaters())  # type: ignore[arg-type]
    assert folders
    assert all(folder.parent == tmp_path / "C# new" / ".a_x2.mp4.esrt-work" for folder in folders)
    assert list(tmp_path.iterdir()) == [path]


def test_options_are_checked_once() -> None:
    for bad in ({"codec": "mpeg2"}, {"encoder": "magic"}, {"vfr": "drop"}, {"segment": Fraction(0)},
                {"start": Fraction(2), "end": Fraction(1)}, {"size": SizeRequest(megapixels=Fraction(2))}):  # fmt: skip
        with pytest.raises(OptionError):
            replace(VideoOptions(), **bad)
