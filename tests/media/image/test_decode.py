"""Bad input, and a small part of what was tried with thousands of damaged files.

HEIC and JPEG XL: read and written with the extra, refused with its name without it.
"""

import io
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile

from esrt_core.errors import EsrtError, MediaError, OptionError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.decode import decode, probe
from esrt_core.media.image.formats import FORMATS, JPEG, PNG, TGA, format_for_path
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, Picture, ReadLimits, Resolution, Source
from esrt_core.media.image.png import chunk_bytes
from tests.media.pictures import (
    LIMITS,
    animation,
    first,
    noise,
    picture,
    present,
    read,
    reopened,
    saved,
    srgb_profile,
    written,
)

needs_permissions = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read anything")


def refused(source: Source, limits: ReadLimits = LIMITS) -> str:
    """The one message with which both probe and decode refuse a source."""
    with pytest.raises(MediaError) as caught:
        decode(source, limits)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "format",
    ["PCX", *(e.pillow[0] for e in FORMATS if e.writable and e.pillow and not e.extra and e is not TGA)],
)
def test_probe_says_what_decode_finds(format: str) -> None:
    data = saved(picture(), format)
    info = probe(data, LIMITS)
    frame = first(data).frame
    assert (info.width, info.height) == (frame.width, frame.height) == (28, 20)
    assert (info.space, info.depth, info.has_alpha) == (frame.space, frame.depth, frame.alpha is not None)
    assert format in info.format.pillow
    assert info.byte_size == len(data)


def test_probe_does_not_decode() -> None:
    assert probe(saved(Image.fromarray(noise(200, 200, 3)), "PNG")[:3000], LIMITS).width == 200


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "missing.png")
    (tmp_path / "empty.png").touch()
    assert "is empty" in refused(tmp_path / "empty.png")
    assert "is empty" in refused(b"")
    (tmp_path / "text.png").write_text("no picture at all")
    assert "not in an image format" in refused(tmp_path / "text.png")
    assert "esrt batch" in refused(tmp_path)


@needs_permissions
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.touch(mode=0)
    assert "permission denied" in refused(path)


@pytest.mark.skipif(os.name == "nt", reason="no such files")
def test_devices_and_named_pipes_are_refused(tmp_path: Path) -> None:
    from pathlib import Path

    assert "is a device" in refused(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")  # its content comes only once, but a picture is looked at before it is decoded
    assert "esrt upscale - <" in refused(tmp_path / "pipe")


@pytest.mark.skipif(sys.platform != "linux", reason="no file that fails to be read")
def test_a_file_that_cannot_be_read_at_its_beginning() -> None:
    from pathlib import Path

    assert "cannot be read" in refused(Path("/proc/self/mem"))


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_names_that_are_not_utf_8_just_work(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(saved(picture(), "PNG"))
    assert first(path).frame.width == 28
    path.write_bytes(b"rubbish")
    assert refused(path).isprintable()


def test_names_too_long_are_one_sentence(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / ("x" * 300 + ".png"))


def test_the_content_decides_and_a_wrong_extension_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(saved(picture(), "JPEG"))
    source = decode(path, LIMITS)
    assert source.info.format is JPEG
    assert source.notes == ("has the extension of PNG but is JPEG",)


def test_raw_files_are_refused_by_name(tmp_path: Path) -> None:
    for name, data in (("a.nef", saved(picture(), "TIFF")), ("b.cr3", b"rubbish")):
        (tmp_path / name).write_bytes(data)
        assert "camera RAW" in refused(tmp_path / name)


def test_pictures_above_the_limit_are_refused() -> None:
    data = saved(picture(), "PNG")
    assert "28 x 20 = 560 px, above --max-pixels 559" in refused(data, ReadLimits(max_pixels=559))
    assert decode(data, ReadLimits(max_pixels=560)).info.width == 28
    assert "is 560 px, above --max-pixels 100" in refused(data, ReadLimits(max_pixels=100))
    with pytest.raises(MediaError, match="--max-pixels"):
        probe(data, ReadLimits(max_pixels=559))


def test_pillows_own_limit_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert first(saved(picture(), "PNG")).frame.width == 28
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_pictures_are_refused(format: str) -> None:
    data = saved(Image.fromarray(noise(64, 64, 3)), format)
    message = refused(data[: len(data) // 2])
    assert "truncated or damaged" in message
    assert "--allow-truncated" in message


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF"])
def test_truncated_pictures_are_taken_on_request_and_noted(format: str) -> None:
    whole = saved(Image.fromarray(noise(64, 64, 3)), format)
    lenient = ReadLimits(allow_truncated=True)
    source = decode(whole[: len(whole) // 2], lenient)
    frame = next(iter(source.pages)).frame
    assert "truncated" in source.notes[0]
    rows = 1 if format == "GIF" else 8  # Pillow writes GIFs interlaced
    assert np.array_equal(frame.planes[0][:rows], first(whole).frame.planes[0][:rows])
    assert decode(whole, lenient).notes == ()
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_limits_and_options_are_checked() -> None:
    with pytest.raises(OptionError, match="--max-pixels"):
        ReadLimits(max_pixels=0)
    with pytest.raises(OptionError, match="--quality"):
        EncodeOptions(quality=101)
    with pytest.raises(OptionError, match="--background"):
        EncodeOptions(background=(0, 0, 256))


def test_a_phone_s_second_picture_is_left_out_and_noted() -> None:
    main, second = picture(), picture(size=(8, 8))
    source = read(saved(main, "MPO", save_all=True, append_images=[second]))
    assert source.info.format is JPEG
    assert source.info.pages == 1
    assert (source.info.width, source.info.height) == main.size
    assert source.notes == ("only the first of 2 images in the JPEG is read",)


def test_a_gain_map_is_noted_and_no_longer_promised() -> None:
    xmp = b'<x><rdf:Description hdrgm:Version="1.0"/></x>'
    source = read(saved(picture(), "JPEG", xmp=xmp))
    assert "gain map" in source.notes[0]
    assert b"hdrgm" not in present(source.metadata.xmp)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_lossless_webp_is_recognized(lossless: bool, frames: int) -> None:
    if frames == 1:
        data = saved(picture("RGBA"), "WEBP", lossless=lossless, icc_profile=srgb_profile())
    else:
        data = animation("WEBP", [50] * frames, alpha=False, lossless=lossless)
    assert read(data).info.lossless is lossless


def test_cmyk_goes_through_its_profile_and_the_profile_goes() -> None:
    source = read(saved(picture("CMYK"), "JPEG"))
    assert next(iter(source.pages)).frame.space is ColorSpace.RGB
    assert "without a profile" in source.notes[0]
    assert source.metadata.icc is None


def test_nothing_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, noise(64, 64), compression="zlib", metadata=None)
    png = bytearray(saved(picture(), "PNG", icc_profile=srgb_profile()))
    for data in (file.getvalue()[:600], bytes(png[:60]), saved(picture(), "TIFF", compression="tiff_lzw")[:300]):
        refused(data)
    assert capfd.readouterr() == ("", "")


def damaged(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    if source.random() < 0.3:
        return bytes(changed[: source.randrange(len(changed))])
    for _ in range(source.choice((1, 4, 16))):
        changed[source.randrange(min(len(changed), source.choice((120, 10**6))))] = source.randrange(256)
    return bytes(changed)


def some_files() -> list[bytes]:
    files = []
    for entry in (entry for entry in FORMATS if entry.pillow and not entry.extra):
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"):
            try:
                files.append(
                    saved(picture("L").convert(mode) if mode in ("I;16", "F") else picture(mode), entry.pillow[0])
                )
            except (OSError, KeyError, ValueError):  # Pillow does not write this mode in this format
                continue
    for dtype in (np.uint16, np.float32):
        file = io.BytesIO()
        tifffile.imwrite(file, noise(9, 7, 3).astype(dtype), photometric="rgb", compression="zlib", metadata=None)
        files.append(file.getvalue())
    return files + [animation(format, [50, 50], alpha=True) for format in ("GIF", "PNG", "WEBP")]


@pytest.mark.slow
def test_damaged_files_end_in_one_sentence_or_a_picture() -> None:
    source = random.Random(5)
    files = some_files()
    outcomes = {"picture": 0, "sentence": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(240):
            data = damaged(files[number % len(files)], source)
            try:
                result = decode(data, ReadLimits(1_000_000, allow_truncated=number % 2 == 0))
                written(list(result.pages), "png", result.metadata)
                assert isinstance(result, Picture)
                outcomes["picture"] += 1
            except EsrtError as error:
                outcomes["sentence"] += "\n" not in str(error)
    assert sum(outcomes.values()) == 240
    assert min(outcomes.values()) > 30


def test_formats_are_found_by_name(tmp_path: Path) -> None:
    assert format_for_path(tmp_path / "a.PNG") is PNG
    assert format_for_path(tmp_path / "a") is None


PACKAGES = {"heic": "pillow_heif", "jxl": "pillow_jxl"}


@pytest.fixture
def encoded() -> Callable[[str], bytes]:
    def encode(name: str) -> bytes:
        pytest.importorskip(PACKAGES[name])
        pixels = np.asarray(picture(size=(64, 48)))
        data, _ = written([Page(frame_of(pixels))], name, Metadata(icc=srgb_profile(), resolution=Resolution(300, 300)))
        return data

    return encode


def frame_of(pixels: np.ndarray) -> Frame:
    return Frame((np.ascontiguousarray(pixels),))


@pytest.mark.parametrize("name", PACKAGES)
def test_pixels_and_profile_come_back(encoded: Callable[[str], bytes], name: str) -> None:
    data = encoded(name)
    result = read(data)
    assert result.info.format.name == name
    assert result.metadata.icc
    back = first(data).frame.planes[0].astype(int)
    assert back.shape == (48, 64, 3)
    assert abs(back - np.asarray(picture(size=(64, 48)))).mean() < 8


@pytest.mark.parametrize("name", PACKAGES)
def test_without_the_package_the_extra_is_named(
    encoded: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = encoded(name)

    def missing(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(MediaError, match=r"\.\[formats\]"):
        read(data)


def with_chunk(png: bytes, kind: bytes, data: bytes, *, at_end: bool = False, checksum: bool = True) -> bytes:
    chunk = chunk_bytes(kind, data)
    if not checksum:
        chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
    at = png.index(b"IEND") - 4 if at_end else 33
    return png[:at] + chunk + png[at:]


def test_a_wrong_checksum_in_a_png_s_text_is_noted() -> None:
    image = picture()
    decoded = read(with_chunk(saved(image, "PNG"), b"tEXt", b"Comment\0hello", checksum=False))
    assert decoded.notes == ("damaged tEXt chunk left out",)
    assert np.array_equal(next(iter(decoded.pages)).frame.planes[0], np.asarray(image))


def test_long_png_text_is_no_obstacle() -> None:
    text = b"workflow\0\0" + zlib.compress(bytes(5_000_000))
    assert read(with_chunk(saved(picture(), "PNG"), b"zTXt", text)).notes == ()


def test_the_exif_behind_a_png_s_pixels_is_known_to_the_plan() -> None:
    tags = Image.Exif()
    tags[274] = 6
    late = with_chunk(saved(picture(size=(28, 20)), "PNG"), b"eXIf", tags.tobytes()[6:], at_end=True)
    info = probe(late, LIMITS)
    assert (info.width, info.height) == (20, 28)
    assert next(iter(read(late).pages)).frame.planes[0].shape == (28, 20, 3)


def test_a_profile_in_png_text_is_read_as_imagemagick_writes_it() -> None:
    tags = Image.Exif()
    tags[274] = 6
    digits = tags.tobytes().hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"Raw profile type exif\0\0\nexif\n{len(digits) // 2:8}\n".encode()
    head, body = text.split(b"\0\0")
    text = head + b"\0\0" + zlib.compress(body + lines.encode())
    late = with_chunk(saved(picture(), "PNG"), b"zTXt", text, at_end=True)
    assert probe(late, LIMITS).height == 28


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L"}])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_whole(options: dict[str, Any]) -> None:
    parameters = dict(options)
    image = picture(parameters.pop("mode", "RGB"), (120, 88))
    whole = saved(image, "JPEG", **parameters)
    decoded = read(whole[:-2])
    assert np.array_equal(next(iter(decoded.pages)).frame.planes[0], np.asarray(reopened(whole)))
    assert decoded.notes == ("the end marker of the JPEG is missing, but its pixels are complete",)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_more_than_its_end_marker_is_truncated(progressive: bool) -> None:
    whole = saved(picture(size=(120, 88)), "JPEG", progressive=progressive, quality=95)
    for lost in (6, 20, 200, len(whole) // 2):
        with pytest.raises(MediaError, match="truncated"):
            read(whole[:-lost])
    scan = whole.rindex(b"\xff\xda")  # of a progressive file: all but its last scan
    with pytest.raises(MediaError, match="truncated"):
        read(whole[:scan])


def test_a_profile_with_a_lost_part_is_noted() -> None:
    profile = srgb_profile() + bytes(70_000)
    whole = saved(picture(), "JPEG", icc_profile=profile)
    second = whole.index(b"ICC_PROFILE\0\2")
    length = int.from_bytes(whole[second - 2 : second], "big")
    decoded = read(whole[: second - 4] + whole[second - 2 + length :])
    assert decoded.notes == ("damaged color profile left out",)


def test_a_profile_that_does_not_fit_is_noted() -> None:
    decoded = read(saved(picture("L"), "JPEG", icc_profile=srgb_profile()))
    assert decoded.metadata.icc is None
    assert decoded.notes == ("color profile left out: it does not describe gray pixels",)


def test_a_cut_off_profile_is_noted() -> None:
    decoded = read(saved(picture(), "JPEG", icc_profile=srgb_profile()[:-100]))
    assert decoded.notes == ("damaged color profile left out",)


def claiming(frame: int, screen: bool) -> bytes:
    """Return a GIF of two frames of 14 x 11 px, one of which says that it is interlaced and 22,600 x 17,754 px."""
    frames = [Image.fromarray(noise(11, 14, 3, seed=seed)).convert("P") for seed in range(2)]
    data = bytearray(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    header = b",\0\0\0\0\x0e\0\x0b\0"
    at = data.index(header) if frame == 0 else data.rindex(header)
    size = (22_600).to_bytes(2, "little") + (17_754).to_bytes(2, "little")
    data[at + 5 : at + 9] = size
    data[at + 9] |= 0x40
    if screen:
        data[6:10] = size
    return bytes(data)


CLAIMS = [(0, True), (1, False), (1, True)]
REFUSED_CHEAPLY = """
import resource, sys
from pathlib import Path
from esrt_core.system.process import configure_process
configure_process()  # Pillow's own limit is off then
from esrt_core.errors import MediaError
from esrt_core.media.image.decode import decode
from esrt_core.media.image.picture import ReadLimits
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    for truncated in (False, True):
        try:
            list(decode(Path(name), ReadLimits(allow_truncated=truncated)).pages)
        except MediaError:
            print("refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(("frame", "screen"), CLAIMS)
@pytest.mark.parametrize("truncated", [False, True])
def test_a_small_file_that_claims_a_large_frame_is_refused(frame: int, screen: bool, truncated: bool) -> None:
    with pytest.raises(MediaError, match=r"cannot hold 401,240,400 px"):
        list(decode(claiming(frame, screen), ReadLimits(allow_truncated=truncated)).pages)


def test_a_small_file_that_claims_a_large_frame_costs_no_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    names = []
    for frame, screen in CLAIMS:
        names.append(f"{tmp_path}/{frame}{screen}.gif")
        Path(names[-1]).write_bytes(claiming(frame, screen))
    command = [sys.executable, "-c", REFUSED_CHEAPLY, *names]
    *refused, growth = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert refused == ["refused"] * 6
    assert int(growth) < 100_000  # kB


def test_a_tiff_of_strips_without_rows_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "strips.tif"
    tifffile.imwrite(path, noise(11, 14))
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["RowsPerStrip"].overwrite(0)
    with pytest.raises(MediaError, match=r"strips\.tif"):
        probe(path, LIMITS)


@pytest.mark.parametrize("truncated", [False, True])
def test_a_palette_image_without_its_palette_is_refused_by_its_name(tmp_path: Path, truncated: bool) -> None:
    data = saved(picture("P"), "PNG")
    at = data.index(b"PLTE")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    path = tmp_path / "bare.png"
    path.write_bytes(data[: at - 4] + data[at + length + 8 :])
    for work in (probe, decode):
        with pytest.raises(MediaError, match=r"bare\.png .* damaged .*no palette"):
            work(path, ReadLimits(allow_truncated=truncated))
