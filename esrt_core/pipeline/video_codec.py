"""Codec, encoder and pixel format of a result."""

from pathlib import Path

from esrt_core.errors import MediaError, OptionError
from esrt_core.media import ffmpeg
from esrt_core.media.clip import ClipInfo
from esrt_core.media.codecs import CODECS, Codec, Encoder, choose_pixels
from esrt_core.media.containers import Container
from esrt_core.media.pixel_layout import PixelLayout, parse_layout
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.pipeline.video_options import VideoOptions


def choose_codec(clip: ClipInfo, container: Container, options: VideoOptions, target: Path) -> Codec:
    """Return the codec of the result; raise OptionError where the container cannot hold it, or it lacks an option."""
    name = options.codec or container.codecs[0]
    if name not in container.codecs:
        raise OptionError(
            f"{container.muxer} cannot hold {name}; use: esrt video {clip.path} --codec {name} "
            f"-o {target.with_suffix('.mkv')}"
        )
    return _checked(CODECS[name], options)


def choose_encoder(codec: Codec, kind: str) -> Encoder:
    """Return the encoder to use; raise MediaError where this ffmpeg has none."""
    known = ffmpeg.encoders()
    if kind == "auto":
        found = next((encoder for encoder in codec.encoders if encoder.name in known), None)
    else:
        found = codec.encoder_of(kind)
    if found is None or found.name not in known:
        name = codec.software.name if found is None else found.name
        others = ", ".join(each.name for each in CODECS.values() if each.software.name in known)
        raise MediaError(f"this ffmpeg has no encoder {name}; choose another --codec ({others}) or --encoder")
    return found


def decide_pixels(layout: PixelLayout, codec: Codec, encoder: Encoder, size: SizePlan, options: VideoOptions) -> str:
    """Return the pixel format of the result; raise MediaError or OptionError where the codec cannot hold the size."""
    if not (size.width <= codec.max_width and size.height <= codec.max_height):
        raise MediaError(
            f"{codec.name} holds at most {codec.max_width} x {codec.max_height} px and the result would have "
            f"{size.width} x {size.height}; ask for a smaller size or another --codec"
        )
    if options.pixels is None:
        return choose_pixels(layout, encoder, codec.even_chroma, size.width, size.height)
    if options.pixels not in encoder.pixels:
        raise OptionError(f"{encoder.name} takes no {options.pixels}; expected one of {', '.join(encoder.pixels)}")
    asked = parse_layout(options.pixels)
    odd = (size.width % 2 and asked and asked.chroma != "444") or (size.height % 2 and asked and asked.chroma == "420")
    if codec.even_chroma and odd:
        raise OptionError(
            f"{codec.name} in {options.pixels} needs even sides, not {size.width} x {size.height}; "
            f"use --pix-fmt yuv444p or another size"
        )
    return options.pixels


def _checked(codec: Codec, options: VideoOptions) -> Codec:
    least, most = codec.crf_range
    if options.crf is not None and (codec.crf is None or not least <= options.crf <= most):
        raise OptionError(
            f"--crf must be from {least} to {most} for {codec.name}, not {options.crf}"
            if codec.crf is not None
            else f"{codec.name} has no --crf: its quality is fixed"
        )
    if options.preset is not None and options.preset not in codec.presets:
        names = ", ".join(codec.presets)
        raise OptionError(f"--preset {options.preset} is none of {codec.name}'s" + (f": {names}" if names else ""))
    return codec
