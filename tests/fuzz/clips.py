"""Clips of every common container, made here, and the part of the program that reads them."""

import contextlib
import itertools
import tempfile
from functools import cache
from pathlib import Path

from esrt_core.errors import EsrtError
from esrt_core.media.video.probe import probe_clip
from esrt_core.media.video.reader import ReadRequest, read_frames
from tests.pipeline.clips import make, picture, sound, x264

FRAMES = 12
_CODED = {
    ".mp4": (*x264("-g", "4"), "-c:a", "aac"),
    ".mov": ("-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    ".mkv": ("-c:v", "ffv1", "-c:a", "flac"),
    ".webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    ".avi": ("-c:v", "mpeg4", "-bf", "2", "-c:a", "mp2"),
    ".ts": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    ".flv": ("-c:v", "flv1", "-an"),
}


@cache
def clips() -> dict[str, bytes]:
    """Return clips of ten moving frames by file name."""
    with tempfile.TemporaryDirectory(prefix="esrt-fuzz-") as folder:
        paths = [
            make(Path(folder, f"a{suffix}"), *picture(seconds=0.4), *sound(), "-shortest", *coded)
            for suffix, coded in _CODED.items()
        ]
        return {path.name: path.read_bytes() for path in paths}


def read_clip(path: Path) -> None:
    """Probe a clip and read its first frames."""
    messages: list[str] = []
    clip = probe_clip(path)
    with (
        contextlib.suppress(EsrtError),
        contextlib.closing(read_frames(clip, ReadRequest(), messages.append)) as frames,
    ):
        for frame in itertools.islice(frames, FRAMES):
            assert frame.data.size
    assert all(isinstance(message, str) for message in messages)
