"""The Python API: pictures in memory."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

import esrt_core
from esrt_core import (
    EsrtError,
    MediaError,
    OptionError,
    Progress,
    Upscaler,
    WeightsError,
    upscale,
    upscale_clip,
    upscale_folder,
)
from esrt_core.media.image import photoshop
from esrt_core.media.image.decode import decode
from esrt_core.media.image.picture import Metadata, ReadLimits
from esrt_core.pipeline.batch.run import Ended
from tests.conftest import MakePicture, WeightsOf
from tests.media.pictures import animation, present, saved, srgb_profile
from tests.media.pictures import picture as patches
from tests.pipeline.clips import make, picture, x264

RNG = np.random.default_rng(11)
Kind = type[np.uint8] | type[np.uint16] | type[np.float32]


@pytest.fixture
def tiny(weights_of: WeightsOf) -> Upscaler:
    return Upscaler(2, str(weights_of(2)), "cpu", threads=1)


def noise(shape: tuple[int, ...], kind: Kind) -> NDArray[Any]:
    if kind is np.float32:
        return RNG.random(shape).astype(np.float32)
    return RNG.integers(0, np.iinfo(kind).max, shape, endpoint=True).astype(kind)  # type: ignore[type-var]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4), (1, 1), (2, 30, 3)])
def test_an_array_keeps_its_layout_and_type(tiny: Upscaler, kind: Kind, shape: tuple[int, ...]) -> None:
    larger = tiny.upscale(noise(shape, kind))
    assert larger.dtype == kind
    assert larger.shape == (shape[0] * 2, shape[1] * 2, *shape[2:])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", "L"),
        ("L", "L"),
        ("LA", "LA"),
        ("P", "RGB"),
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("I;16", "I;16"),
        ("F", "F"),
    ],
)
def test_an_image_of_any_mode_gives_an_image(tiny: Upscaler, mode: str, expected: str) -> None:
    colors = Image.fromarray(noise((8, 10, 4), np.uint8))
    opaque = mode not in ("LA", "RGBA")
    source = (
        Image.fromarray(noise((8, 10), np.uint16)) if mode == "I;16" else colors.convert("RGB" if opaque else "RGBA")
    )
    image = source if source.mode == mode else source.convert(mode)
    larger = tiny.upscale(image)
    assert isinstance(larger, Image.Image)
    assert (larger.mode, larger.size) == (expected, (20, 16))


def test_an_image_and_its_array_give_the_same_pixels(tiny: Upscaler) -> None:
    pixels = noise((8, 10, 3), np.uint8)
    assert (np.asarray(tiny.upscale(Image.fromarray(pixels))) == tiny.upscale(pixels)).all()


def test_float_values_beyond_one_keep_their_range(tiny: Upscaler) -> None:
    image = Image.fromarray(np.full((8, 8), 300, np.float32))
    assert np.asarray(tiny.upscale(image)).mean() == pytest.approx(300, rel=0.05)


def test_an_image_keeps_its_information(tiny: Upscaler) -> None:
    image = Image.new("RGB", (6, 6))
    image.info.update(dpi=(300, 300), icc_profile=srgb_profile(), comment="dropped", transparency=(0, 0, 0))
    larger = tiny.upscale(image)
    assert larger.info == {"dpi": (300, 300), "icc_profile": srgb_profile()}
    for mode in ("CMYK", "L"):  # converted to sRGB; a profile that does not fit
        other = Image.new(mode, (6, 6))
        other.info["icc_profile"] = srgb_profile()
        assert "icc_profile" not in tiny.upscale(other).info


def photo(orientation: int, format: str = "JPEG") -> Image.Image:
    tags = Image.Exif()
    tags[274], tags[315] = orientation, "someone"
    tags.get_ifd(0x8769)[0xA002] = 28
    packet = b'<x tiff:Orientation="%d" stArea:x="0.25" exif:PixelXDimension="28"/>' % orientation
    parameters: dict[str, Any] = {"exif": tags.tobytes(), "icc_profile": srgb_profile(), "dpi": (300, 150)}
    return Image.open(io.BytesIO(saved(patches(), format, xmp=packet, **parameters)))


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF"])
def test_an_image_is_upright_and_saved_with_what_it_carried(tiny: Upscaler, format: str, orientation: int) -> None:
    image = photo(orientation, format)
    upright = ImageOps.exif_transpose(photo(orientation, format))
    larger = tiny.upscale(image)
    assert larger.size == (2 * upright.width, 2 * upright.height)
    assert np.array_equal(np.asarray(larger), tiny.upscale(np.asarray(upright)))
    file = io.BytesIO()
    larger.save(file, "JPEG", **{str(key): value for key, value in larger.info.items()})
    again = Image.open(file)
    tags = again.getexif()
    assert (tags.get(274, 1), tags[315]) == (1, "someone")
    assert tags.get_ifd(0x8769)[0xA002] == larger.width
    assert again.info["icc_profile"] == srgb_profile()
    if format != "WEBP":
        assert again.info["dpi"] == ((150, 300) if orientation >= 5 else (300, 150))
    if format != "TIFF":  # Pillow writes no XMP there
        assert b'tiff:Orientation="1"' in again.info["xmp"]
        assert f'PixelXDimension="{larger.width}"'.encode() in again.info["xmp"]


PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF tiff:Orientation="6" d="x"/></x:xmpmeta>'
IPTC = b"\x1c\2\x69\0\5title"


def tiff_of_pages() -> Image.Image:
    """The first page has everything, the second nothing, the third other things."""
    pixels = np.asarray(patches())
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        everything = [
            (700, 1, len(PACKET), PACKET, True),
            (33723, 7, len(IPTC), IPTC, True),
            (274, 3, 1, 6, True),
            (315, 2, 8, "someone", True),
        ]
        writer.write(pixels, photometric="rgb", iccprofile=srgb_profile(), resolution=(300, 150), extratags=everything)
        writer.write(pixels, photometric="rgb")
        resource = photoshop.of_iptc(b"\x1c\2\x69\0\5other")
        writer.write(
            pixels,
            photometric="rgb",
            resolution=(100, 50),
            resolutionunit=3,
            extratags=[(34377, 7, len(resource), resource, True)],
        )
    return Image.open(file)


def again(image: Image.Image, format: str) -> Metadata:
    return decode(saved(image, format, **{str(key): value for key, value in image.info.items()}), ReadLimits()).metadata


@pytest.mark.parametrize("format", ["TIFF", "JPEG", "PNG"])
def test_a_page_of_a_tiff_is_saved_with_what_it_alone_carried(tiny: Upscaler, format: str) -> None:
    image = tiff_of_pages()
    everything = again(tiny.upscale(image), format)
    assert photoshop.iptc_of(present(everything.photoshop)) == IPTC
    assert b'tiff:Orientation="1" d="x"' in present(everything.xmp)
    assert b"someone" in present(everything.exif)
    assert everything.icc == srgb_profile()
    assert everything.dpi == pytest.approx((150, 300), abs=0.02)
    image.seek(1)
    nothing = again(tiny.upscale(image), format)
    assert (nothing.photoshop, nothing.xmp, nothing.icc, nothing.dpi) == (None,) * 4
    image.seek(2)
    other = again(tiny.upscale(image), format)
    assert photoshop.iptc_of(present(other.photoshop)) == b"\x1c\2\x69\0\5other"
    assert other.dpi == pytest.approx((254, 127), abs=0.02)
    assert (other.xmp, other.icc) == (None, None)


@pytest.mark.parametrize("format", ["TIFF", "JPEG", "PNG"])
def test_a_jpeg_is_saved_with_its_iptc_and_xmp(tiny: Upscaler, format: str) -> None:
    whole = photoshop.of_iptc(IPTC)
    segment = next(iter(photoshop.segments(whole)))
    extra = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
    image = Image.open(io.BytesIO(saved(patches(), "JPEG", extra=extra, xmp=PACKET)))
    metadata = again(tiny.upscale(image), format)
    assert metadata.photoshop == whole
    assert b'd="x"' in present(metadata.xmp)


def test_xmp_does_not_turn_an_avif(tiny: Upscaler) -> None:
    image = Image.open(io.BytesIO(saved(patches(), "AVIF", xmp=PACKET)))
    larger = tiny.upscale(image)
    assert larger.size == (56, 40)
    assert b'tiff:Orientation="1"' in larger.info["xmp"]


def test_exif_does_not_turn_a_jpeg_xl(tiny: Upscaler) -> None:
    pytest.importorskip("pillow_jxl")
    tags = Image.Exif()
    tags[274], tags[315] = 6, "someone"
    image = Image.open(io.BytesIO(saved(patches(), "JXL", exif=bytes(4) + tags.tobytes()[6:], use_container=True)))
    larger = tiny.upscale(image)
    assert larger.size == (56, 40)
    assert larger.getexif()[274] == 1
    assert larger.getexif()[315] == "someone"


def test_exif_behind_the_pixels_and_damaged_exif(tiny: Upscaler) -> None:
    tags = Image.Exif()
    tags[274] = 6
    data = saved(patches(), "PNG", exif=tags.tobytes())
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    late = data.replace(chunk, b"")
    assert tiny.upscale(Image.open(io.BytesIO(late[:-12] + chunk + late[-12:]))).size == (40, 56)
    damaged = Image.open(io.BytesIO(saved(patches(), "PNG")))
    damaged.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert "exif" not in tiny.upscale(damaged).info


def test_of_an_animation_the_current_frame_is_upscaled(tiny: Upscaler) -> None:
    image = Image.open(io.BytesIO(animation("GIF", [40, 40, 40], alpha=False)))
    image.seek(1)
    expected = tiny.upscale(np.asarray(image.convert("RGB")))
    assert np.array_equal(np.asarray(tiny.upscale(image)), expected)


def test_a_truncated_image_is_an_error_of_ours(tiny: Upscaler) -> None:
    with pytest.raises(MediaError, match="the image is truncated or damaged"):
        tiny.upscale(Image.open(io.BytesIO(saved(patches(), "PNG")[:200])))


def test_any_factor_is_reached_exactly(weights_of: WeightsOf) -> None:
    assert Upscaler(2.5, str(weights_of(3))).upscale(noise((3, 5), np.uint8)).shape == (8, 13)
    assert Upscaler(None, str(weights_of(3))).upscale(noise((3, 5), np.uint8)).shape == (9, 15)


def test_the_short_form_makes_it_four_times_as_large() -> None:
    reports: list[Progress] = []
    larger = upscale(noise((6, 8, 3), np.uint8), progress=reports.append)
    assert larger.shape == (24, 32, 3)
    assert (reports[-1].done, reports[-1].total, reports[-1].unit) == (1, 1, "tiles")


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.int64), np.zeros(4, np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_an_array_that_is_no_picture_is_refused(tiny: Upscaler, array: NDArray[Any]) -> None:
    with pytest.raises(MediaError, match="unsupported array"):
        tiny.upscale(array)


def test_values_that_are_not_finite_are_refused(tiny: Upscaler) -> None:
    with pytest.raises(MediaError, match="NaN or infinite"):
        tiny.upscale(np.full((4, 4), np.nan, np.float32))


def test_bad_arguments_raise_errors_of_one_tree() -> None:
    with pytest.raises(OptionError, match="scale must be at least 1"):
        Upscaler(0.5)
    with pytest.raises(WeightsError, match="nonsense"):
        Upscaler(2, "nonsense")
    with pytest.raises(EsrtError, match="quantum"):
        Upscaler(2, device="quantum")


def test_the_package_offers_its_names_lazily() -> None:
    assert set(esrt_core.__all__) <= set(dir(esrt_core))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = esrt_core.nonsense
    script = "import sys; from esrt_core import EsrtError; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_folder_is_upscaled_and_resumed(make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_picture(f"in/{name}.png", 20, 12)
    (tmp_path / "in" / "broken.png").write_bytes(b"nothing")
    ended: list[Ended] = []
    model = str(weights_of(2))
    first = upscale_folder(
        tmp_path / "in",
        tmp_path / "out",
        2,
        model,
        "cpu",
        on_end=ended.append,
    )
    assert (first.done, sorted(Path(each.task.source).name for each in ended)) == (2, ["a.png", "b.png"])
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (40, 24)
    make_picture("in/c.png", 20, 12)
    assert upscale_folder([tmp_path / "in"], tmp_path / "out", 2, model, "cpu").done == 1
    with pytest.raises(OptionError, match="does not exist"):
        upscale_folder(tmp_path / "gone", model=model)


def test_a_clip_is_upscaled(weights_of: WeightsOf, tmp_path: Path) -> None:
    clip = make(tmp_path / "a.mp4", *picture("48x32", "5", 1), *x264())
    reports: list[Progress] = []
    result = upscale_clip(clip, tmp_path / "large.mp4", 2, str(weights_of(2)), "cpu", progress=reports.append)
    assert (result.size, result.frames, result.target) == ((96, 64), 5, str(tmp_path / "large.mp4"))
    assert reports[-1].done == 5
