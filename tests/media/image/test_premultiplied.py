"""Colors that a file stores multiplied by their alpha, or on white, become straight in every format that has them.

The values were compared with ImageMagick (Photoshop), libheif's own flag and jxlinfo's.
"""

import importlib.util
import io
import struct
from collections.abc import Callable
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.image import jxl
from esrt_core.media.image.picture import RemoteFile, ValueRange
from tests.media.pictures import first, noise, present, psd_file, read

COLOR = np.array([200, 100, 40])
ALPHA = np.tile(np.linspace(40, 255, 16).astype(int), (4, 1))  # (H, W)


def on(matte: float, peak: int = 255) -> np.ndarray:
    """COLOR with ALPHA on a gray matte of 0..1: (H, W, 4), of 0..`peak`, float64."""
    share = ALPHA[..., None] / 255
    mixed: np.ndarray = np.dstack([(COLOR / 255 * share + matte * (1 - share)) * peak, share * peak])
    return mixed


def integers(matte: float, dtype: type[np.unsignedinteger], peak: int | None = None) -> np.ndarray:
    stored: np.ndarray = np.rint(on(matte, peak or int(np.iinfo(dtype).max))).astype(dtype)
    return stored


def tga() -> bytes:
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 16, 4, 32, 0x28)
    pixels = integers(0, np.uint8)[..., [2, 1, 0, 3]].tobytes()
    area = struct.pack("<H", 495) + bytes(492) + b"\4"
    return header + pixels + area + struct.pack("<II", 18 + len(pixels), 0) + b"TRUEVISION-XFILE.\0"


def dds() -> bytes:
    caps = struct.pack("<7I", 124, 0x100F, 4, 16, 64, 0, 0) + bytes(44)
    layout = struct.pack("<2I4s5I", 32, 4, b"DX10", 0, 0, 0, 0, 0) + struct.pack("<5I", 0x1000, 0, 0, 0, 0)
    return b"DDS " + caps + layout + struct.pack("<5I", 28, 3, 0, 1, 2) + integers(0, np.uint8).tobytes()


def jp2(dtype: type[np.unsignedinteger]) -> bytes:
    stored = integers(0, dtype)
    codestream = bytes(imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, codecformat="j2k"))

    def box(kind: bytes, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return struct.pack(">I", 8 + len(content)) + kind + content

    channels = struct.pack(">H12H", 4, 0, 0, 1, 1, 0, 2, 2, 0, 3, 3, 2, 0)  # the last is premultiplied opacity
    header = struct.pack(">IIHBBBB", 4, 16, 4, stored.itemsize * 8 - 1, 7, 0, 0)
    color = box(b"colr", b"\1\0\0" + struct.pack(">I", 16))
    held = box(b"jp2h", box(b"ihdr", header), color, box(b"cdef", channels))
    return box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + held + box(b"jp2c", codestream)


def psd(dtype: type[np.unsignedinteger]) -> bytes:
    stored = integers(1, dtype)
    deep = psd_file(stored.astype(np.uint16), 0)
    layers = (2 + 4 + 4).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"\xff\xff" + bytes(4)
    data = np.moveaxis(stored, -1, 0).astype(stored.dtype.newbyteorder(">")).tobytes()
    return deep[:22] + bytes([0, 8 * stored.itemsize]) + deep[24:34] + layers + b"\0\0" + data


def heic(bits: int) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    mode, stored = ("RGBa", integers(0, np.uint8)) if bits == 8 else ("RGBa;16", integers(0, np.uint16))
    file = io.BytesIO()
    pillow_heif.from_bytes(mode, (16, 4), stored.tobytes()).save(file, quality=-1, chroma=444, bit_depth=bits)
    return file.getvalue()


def associated(samples: np.ndarray) -> bytes:
    """A lossless JPEG XL whose alpha is said to be associated: the bit that says so is found by its effect."""
    file = bytes(imagecodecs.jpegxl_encode(samples, lossless=True))
    start, before = file.index(jxl.START), present(jxl_header(file))
    for bit in range(8 * start + 16, 8 * start + 400):
        changed = bytearray(file)
        changed[bit // 8] ^= 1 << bit % 8
        if jxl_header(bytes(changed)) == replace(before, is_premultiplied=True):
            return bytes(changed)
    raise AssertionError


def jxl_header(file: bytes) -> jxl.Header | None:
    return jxl.read_header(lambda at, length: file[at : at + length], len(file))


def tiff(stored: np.ndarray, photometric: str = "rgb", planarconfig: str = "contig") -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(
        file, stored, photometric=photometric, planarconfig=planarconfig, extrasamples=["assocalpha"], metadata=None
    )
    return file.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "TIFF of 8 bits": lambda: tiff(integers(0, np.uint8)),
    "TIFF of 16 bits": lambda: tiff(integers(0, np.uint16)),
    "TIFF in planes": lambda: tiff(np.moveaxis(integers(0, np.uint8), -1, 0), planarconfig="separate"),
    "TIFF of floats": lambda: tiff(on(0, 1).astype(np.float32)),
    "TGA": tga,
    "DDS": dds,
    "JPEG 2000 of 8 bits": lambda: jp2(np.uint8),
    "JPEG 2000 of 16 bits": lambda: jp2(np.uint16),
    "Photoshop of 8 bits": lambda: psd(np.uint8),
    "Photoshop of 16 bits": lambda: psd(np.uint16),
    "HEIC of 8 bits": lambda: heic(8),
    "HEIC of 10 bits": lambda: heic(10),
    "JPEG XL of 16 bits": lambda: associated(integers(0, np.uint16)),
    "JPEG XL of floats": lambda: associated(on(0, 1).astype(np.float32)),
}
DEPTHS = {"16": 16, "10": 16, "floats": 32}
LOSSY = {"HEIC of 8 bits": 14, "HEIC of 10 bits": 7}  # YCbCr


@pytest.mark.parametrize("kind", FILES)
def test_colors_are_straight(kind: str) -> None:
    if kind.startswith("JPEG XL") and importlib.util.find_spec("pillow_jxl") is None:
        pytest.skip("needs pillow_jxl")
    data = FILES[kind]()
    frame = first(data if kind != "TGA" else named(data)).frame
    assert frame.depth == next((depth for word, depth in DEPTHS.items() if word in kind.split()), 8)
    assert np.allclose(present(frame.alpha) / frame.peak * 255, ALPHA, atol=0.5)
    error = np.abs(frame.planes[0] / frame.peak * 255 - COLOR)
    rounding = 0.5 * 255 / ALPHA[..., None] + 0.5 if frame.depth == 8 else 0.2  # of 8 bits a faint color keeps few
    assert (error <= LOSSY.get(kind, rounding * 2)).all(), error.max()


def named(data: bytes) -> RemoteFile:
    return RemoteFile("a.tga", lambda: io.BytesIO(data))


def test_straight_alpha_stays_as_it_is() -> None:
    straight = np.dstack([np.broadcast_to(COLOR, (4, 16, 3)), ALPHA]).astype(np.uint8)
    data = tga()
    unassociated = data[: -26 - 1] + b"\3" + data[-26:]
    assert np.array_equal(first(named(unassociated)).frame.planes[0], first(named(data[:-26])).frame.planes[0])
    file = bytes(imagecodecs.jpegxl_encode(straight.astype(np.uint16) * 257, lossless=True))
    assert not present(jxl_header(file)).is_premultiplied
    layered = psd(np.uint8).replace(b"\xff\xff\0\0\0\0", b"\0\1\0\0\0\0")  # its fourth channel is a selection
    assert np.array_equal(first(layered).frame.planes[0], integers(1, np.uint8)[..., :3])


def test_a_merged_image_with_transparency_may_say_so_in_a_block() -> None:
    block = b"8BIMMt16" + bytes(4)
    data = psd_file(integers(1, np.uint16), 0)
    at = 26 + 8
    section = bytes(4) + bytes(4) + block
    frame = first(data[:at] + len(section).to_bytes(4, "big") + section + data[at + 4 :]).frame
    assert np.abs(frame.planes[0] / 257 - COLOR).max() < 0.2


def test_light_beyond_white_is_kept() -> None:
    light = np.broadcast_to(np.array([4.0, 2.0, 0.5]), (4, 16, 3))
    share = ALPHA[..., None] / 255
    page = first(tiff(np.dstack([light * share, share]).astype(np.float32)))
    assert page.value_range == ValueRange(0.0, 4.0)
    assert np.allclose(page.frame.planes[0] * 4, light, atol=1e-5)


def test_noise_where_nothing_is_seen_does_not_set_the_range_of_values() -> None:
    stored = np.zeros((4, 16, 4), np.float32)
    stored[:, 8:] = (0.5, 0.25, 0.75, 1)
    stored[0, 0], stored[0, 1] = (0.01, 0, 0, 1e-6), (0.01, 0, 0, 1e-42)
    page = first(tiff(stored))
    assert page.value_range is None
    assert page.frame.planes[0][0, 0].tolist() == [1, 0, 0]
    assert page.frame.planes[0][3, 8].tolist() == [0.5, 0.25, 0.75]


def test_inks_are_straight_before_they_become_colors() -> None:
    inks = np.broadcast_to(np.array([100, 50, 20, 10]), (4, 16, 4))
    mixed = np.rint(inks * (ALPHA[..., None] / 255)).astype(np.uint8)
    page = first(tiff(np.dstack([mixed, ALPHA.astype(np.uint8)]), "separated"))
    plain = np.asarray(Image.new("CMYK", (16, 4), (100, 50, 20, 10)).convert("RGB")).astype(int)
    assert np.abs(page.frame.planes[0] - plain).max() <= 5
    assert np.array_equal(page.frame.planes[0][:, -1], plain[:, -1])
    with pytest.raises(MediaError, match="LAB multiplied by its alpha"):
        read(tiff(noise(4, 16, 4), "cielab"))
