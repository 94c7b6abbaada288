"""Table of the output codecs: their encoders, pixel formats, size limits and quality settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from esrt_core.errors import OptionError
from esrt_core.media.video.clip import Mastering, PixelLayout, parse_layout

ENCODER_KINDS = ("auto", "software", "nvenc", "qsv", "videotoolbox")

_YUV_8 = ("yuv420p", "yuv422p", "yuv444p")
_YUV_10 = ("yuv420p10le", "yuv422p10le", "yuv444p10le")
_YUV_12 = ("yuv420p12le", "yuv422p12le", "yuv444p12le")
_HARDWARE = ("yuv420p", "p010le")


@dataclass(frozen=True)
class Encoder:
    """Name an encoder of ffmpeg and the pixel formats it accepts."""

    name: str
    kind: str
    pixels: tuple[str, ...]


@dataclass(frozen=True)
class Codec:
    """Describe a codec.

    encoders     the software encoder first, then hardware encoders.
    max_width, max_height  px.
    crf          default constant quality, at which no loss is visible; `crf_range` is what --crf accepts. None if the
                 codec has no such scale.
    presets      from the fastest to the best compression; empty if it has none.
    bits         upper estimate of the bits per pixel at the default quality.
    even_chroma  4:2:0 and 4:2:2 need even sides.
    """

    name: str
    encoders: tuple[Encoder, ...]
    max_width: int
    max_height: int
    crf: int | None
    crf_range: tuple[int, int]
    presets: tuple[str, ...]
    default_preset: str | None
    bits: float
    even_chroma: bool = False

    @property
    def software(self) -> Encoder:
        """The encoder that runs on every machine."""
        return self.encoders[0]

    def encoder_of(self, kind: str) -> Encoder:
        """Return the encoder of a kind.

        Raises: OptionError if the codec has none of this kind.
        """
        for encoder in self.encoders:
            if encoder.kind == kind:
                return encoder
        kinds = ", ".join(encoder.kind for encoder in self.encoders)
        raise OptionError(f"--encoder {kind} does not support {self.name}; use one of: auto, {kinds}")


_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")

CODECS = {
    codec.name: codec
    for codec in (
        Codec(
            "h264",
            (
                Encoder("libx264", "software", _YUV_8 + _YUV_10),
                Encoder("h264_nvenc", "nvenc", ("yuv420p", "yuv444p")),
                Encoder("h264_qsv", "qsv", ("nv12",)),
                Encoder("h264_videotoolbox", "videotoolbox", ("yuv420p",)),
            ),
            16384, 16384, 16, (0, 51), _X26X, "medium", 0.6, even_chroma=True,
        ),
        Codec(
            "hevc",
            (
                Encoder("libx265", "software", _YUV_8 + _YUV_10 + _YUV_12),
                Encoder("hevc_nvenc", "nvenc", (*_HARDWARE, "yuv444p")),
                Encoder("hevc_qsv", "qsv", ("nv12", "p010le")),
                Encoder("hevc_videotoolbox", "videotoolbox", _HARDWARE),
            ),
            16384, 16384, 17, (0, 51), _X26X, "medium", 0.5, even_chroma=True,
        ),
        Codec(
            "av1",
            (
                Encoder("libsvtav1", "software", ("yuv420p", "yuv420p10le")),
                Encoder("av1_nvenc", "nvenc", _HARDWARE),
                Encoder("av1_qsv", "qsv", ("nv12", "p010le")),
            ),
            16384, 8704, 18, (0, 63), tuple(str(speed) for speed in range(13, -1, -1)), "6", 0.4,
        ),
        Codec(
            "vp9",
            (
                Encoder("libvpx-vp9", "software", (*_YUV_8, *_YUV_10, *_YUV_12, "yuva420p")),
                Encoder("vp9_qsv", "qsv", ("nv12", "p010le")),
            ),
            16384, 16384, 16, (0, 63), tuple(str(speed) for speed in range(8, -1, -1)), "3", 0.5,
        ),
        Codec(
            "prores",
            (
                Encoder("prores_ks", "software", ("yuv422p10le", "yuv444p10le", "yuva444p10le")),
                Encoder("prores_videotoolbox", "videotoolbox", ("yuv422p10le",)),
            ),
            16384, 16384, None, (0, 0), (), None, 4.0,
        ),
        Codec(
            "ffv1",
            (
                Encoder(
                    "ffv1",
                    "software",
                    (*_YUV_8, *_YUV_10, *_YUV_12, "gray", "gray10le", "gray12le", "gray16le", "yuva420p", "yuva422p",
                     "yuva444p", "yuva420p10le", "yuva422p10le", "yuva444p10le", "yuva444p12le", "yuv444p16le"),
                ),
            ),
            65535, 65535, None, (0, 0), (), None, 12.0,
        ),
    )
}  # fmt: skip


def encoder_arguments(
    codec: Codec,
    encoder: Encoder,
    crf: int | None,
    preset: str | None,
    threads: int,
    mastering: Mastering | None,
    content_light: tuple[int, int] | None,
) -> list[str]:
    """Return ffmpeg's arguments that select and configure an encoder.

    `threads` is always given, because the bytes of x264 and x265 depend on it.
    """
    quality = codec.crf if crf is None else crf
    speed = preset or codec.default_preset
    if encoder.kind != "software":
        return ["-c:v", encoder.name, *_hardware_quality(encoder.kind, quality)]
    match encoder.name:
        case "libx264":
            hdr = _hdr_parameters("mastering-display", "cll", mastering, content_light)
            options = ["-crf", str(quality), "-preset", str(speed), "-threads", str(threads)]
            return ["-c:v", "libx264", *options, *(["-x264-params", ":".join(hdr)] if hdr else [])]
        case "libx265":
            hdr = _hdr_parameters("master-display", "max-cll", mastering, content_light)
            own = ["log-level=error", f"pools={threads}", f"frame-threads={min(threads, 4)}", "open-gop=0", *hdr]
            options = ["-crf", str(quality), "-preset", str(speed), "-x265-params", ":".join(own)]
            return ["-c:v", "libx265", *options]
        case "libsvtav1":
            own = [f"lp={threads}"]
            return ["-c:v", "libsvtav1", "-crf", str(quality), "-preset", str(speed), "-svtav1-params", ":".join(own)]
        case "libvpx-vp9":
            options = ["-crf", str(quality), "-b:v", "0", "-deadline", "good", "-cpu-used", str(speed)]
            return ["-c:v", "libvpx-vp9", *options, "-threads", str(threads), "-tile-columns", "2"]
        case "prores_ks":
            return ["-c:v", "prores_ks", "-vendor", "apl0", "-threads", str(threads)]
        case "ffv1":
            options = ["-level", "3", "-g", "1", "-slices", "4", "-slicecrc", "1", "-threads", str(threads)]
            return ["-c:v", "ffv1", *options]
        case _:
            raise AssertionError(f"no arguments for {encoder.name}")


def choose_pixels(layout: PixelLayout, encoder: Encoder, even_chroma: bool, width: int, height: int) -> str:
    """Return the encoder's pixel format that preserves most of a layout; 4:4:4 if an odd side (px) requires it."""
    odd = even_chroma and (width % 2 or height % 2)

    def loss(name: str) -> tuple[float, ...]:
        other = parse_layout(name) or PixelLayout("420", 10 if name == "p010le" else 8)
        rank = ("gray", "420", "422", "444")
        chroma = rank.index(other.chroma) - rank.index(layout.chroma)
        depth = other.depth - layout.depth
        lost_alpha = layout.alpha and not other.alpha
        return (bool(odd and other.chroma != "444"), lost_alpha, max(-depth, 0), max(-chroma, 0), depth + chroma)

    return min(encoder.pixels, key=loss)


def _hardware_quality(kind: str, quality: int | None) -> Sequence[str]:
    match kind:
        case "nvenc":
            return ["-preset", "p6", "-rc", "vbr", "-cq", str(quality), "-b:v", "0"]
        case "qsv":
            return ["-global_quality", str(quality)]
        case _:
            return ["-q:v", "80"]


def _hdr_parameters(
    display: str, levels: str, mastering: Mastering | None, content_light: tuple[int, int] | None
) -> list[str]:
    parameters = [] if mastering is None else [f"{display}={mastering.text()}"]
    return parameters if content_light is None else [*parameters, f"{levels}={content_light[0]},{content_light[1]}"]
