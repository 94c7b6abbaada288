"""Cover pictures of a clip as files of their own."""

from collections.abc import Sequence
from pathlib import Path

from esrt_core.media.clip import OtherStream
from esrt_core.media.clip_open import opened

_SUFFIXES = {"png": ".png", "mjpeg": ".jpg"}


def write_covers(source: Path, covers: Sequence[OtherStream], folder: Path) -> list[Path]:
    """Write the covers of a clip that are PNG or JPEG, as they are, into a folder; return their paths."""
    wanted = [stream for stream in covers if stream.codec in _SUFFIXES]
    return [_write(source, stream, folder / _name(number, stream)) for number, stream in enumerate(wanted)]


def _name(number: int, stream: OtherStream) -> str:
    """Name the first one as players look for it."""
    return f"cover{number or ''}{_SUFFIXES[stream.codec]}"


def _write(source: Path, stream: OtherStream, target: Path) -> Path:
    with opened(source) as container:
        packets = container.demux(container.streams[stream.index])
        target.write_bytes(next((bytes(packet) for packet in packets if packet.size), b""))
    return target
