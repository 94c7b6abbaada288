"""Encode frames with their exact times into one file: raw pictures in NUT through a pipe to ffmpeg."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av

from esrt_core.errors import MediaError
from esrt_core.media.video.clip import ColorTags, PixelLayout
from esrt_core.media.video.ffmpeg import LOCAL_ONLY, Process, file_url

_BUFFER = 2**20
_EXACT = 2**31 - 1  # otherwise setsar rounds an aspect ratio to numbers of at most 100
_SCALING = "flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
REPEATABLE = ("-fflags", "+bitexact", "-flags:v", "+bitexact")


@dataclass(frozen=True)
class EncodeSettings:
    """Options of encoding.

    layout, width, height   of the frames; px.
    time_base               seconds of one tick.
    rate                    frames a second, for the encoder's rate control.
    pixels                  the encoder's pixel format.
    aspect                  sample aspect ratio.
    encoder                 ffmpeg's arguments for the encoder.
    """

    layout: PixelLayout
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    pixels: str
    aspect: Fraction
    colors: ColorTags
    encoder: tuple[str, ...]

    @property
    def layers_alpha(self) -> bool:
        """Whether the encoder writes alpha as a second layer beside the picture, as libvpx does."""
        return "libvpx-vp9" in self.encoder and self.pixels.startswith("yuva")

    @property
    def suffix(self) -> str:
        """The suffix of an encoded file: .nut, which has exact times, or .mkv for layered alpha, which NUT drops."""
        return ".mkv" if self.layers_alpha else ".nut"


class FrameWriter:
    """Encode frames into `target`, a file that is complete once `finish` has returned; see EncodeSettings.suffix."""

    def __init__(self, target: Path, settings: EncodeSettings) -> None:
        self._settings = settings
        self._process = Process(encode_arguments(target, settings), feeds=True)
        self._container: Any = av.open(
            self._process.stdin, "w", format="nut", buffer_size=_BUFFER, options={"fflags": "bitexact"}
        )
        stream = self._container.add_stream("rawvideo", rate=settings.rate)
        stream.width, stream.height, stream.pix_fmt = settings.width, settings.height, settings.layout.name
        stream.codec_context.time_base = stream.time_base = settings.time_base
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()

    def write(self, data: bytes, tick: int, duration: int) -> None:
        """Write a frame, packed in the order of its layout, with increasing ticks.

        Raises: MediaError if the encoder has exited.
        """
        packet = av.Packet(data)
        packet.pts = packet.dts = tick
        packet.duration = duration
        packet.time_base = self._settings.time_base
        packet.stream = self._stream
        packet.is_keyframe = True
        try:
            self._container.mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            self._process.finish()
            raise MediaError(f"the encoder failed: {self._process.reason()}") from error

    def finish(self) -> None:
        """Wait until the encoder has finished.

        Raises: MediaError if it failed.
        """
        try:
            self._container.close()
            self._process.stdin.close()
        except (OSError, av.error.FFmpegError) as error:
            self._process.finish()
            raise MediaError(f"the encoder failed: {self._process.reason()}") from error
        if self._process.finish() != 0:
            raise MediaError(f"the encoder failed: {self._process.reason()}")


def encode_arguments(target: Path, settings: EncodeSettings) -> list[str]:
    """Return ffmpeg's arguments that encode raw pictures from its standard input."""
    # fmt: off
    return [
        *LOCAL_ONLY, "-f", "nut", "-i", "pipe:0", "-vf", ",".join(_filters(settings)),
        "-fps_mode", "passthrough", "-enc_time_base", "demux", *settings.encoder, *REPEATABLE,
        "-f", "matroska" if settings.layers_alpha else "nut", "-y", file_url(target),
    ]
    # fmt: on


def _filters(settings: EncodeSettings) -> Sequence[str]:
    """Tag the colors first, so that no filter converts them; convert the format; tag them again."""
    colors, aspect = settings.colors, settings.aspect
    stated = f"setparams=range={colors.range}:colorspace={colors.matrix}"
    tags = f"{stated}:color_primaries={colors.primaries}:color_trc={colors.transfer}"
    filters = [tags]
    if settings.layout.name != settings.pixels:
        filters.append(f"scale={_SCALING}")
    shape = f"setsar=sar={aspect.numerator}/{aspect.denominator}:max={_EXACT}"
    return [*filters, f"format={settings.pixels}", tags, shape]
