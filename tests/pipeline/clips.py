"""Clips made by ffmpeg's own test sources, and an engine that enlarges by repetition, for the tests of clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from esrt_core.engine.options import EngineOptions
from esrt_core.media.frame import Frame
from esrt_core.media.video.ffmpeg import run
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.run import ClipResult, prepare_clip, upscale_clip
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.selection import ChainSelector, ModelChain, single_chain


def make(target: Path, *arguments: str) -> Path:
    """Run ffmpeg with arguments and write a file."""
    run([*arguments, "-y", str(target)])
    return target


def picture(size: str = "32x24", rate: str = "25", seconds: float = 0.4, extra: str = "") -> list[str]:
    """Return the input arguments of a moving test picture."""
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}{extra}"]


def sound(seconds: float = 0.4, pitch: int = 440) -> list[str]:
    """Return the input arguments of a tone."""
    return ["-f", "lavfi", "-i", f"sine=frequency={pitch}:duration={seconds}"]


def x264(*more: str) -> list[str]:
    """Return the output arguments of H.264."""
    return ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *more]


def streams(path: Path) -> list[tuple[str, str, str]]:
    """Return kind, codec and language of every stream."""
    with av.open(str(path)) as container:
        return [
            (
                stream.type,
                stream.codec_context.codec.canonical_name if stream.codec_context else "",
                stream.language or "",
            )
            for stream in container.streams
        ]


def times(path: Path, kind: str = "video") -> list[float]:
    """Return the sorted times of all packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return sorted(float(time_of(packet)) for packet in container.demux(stream) if packet.size)


def time_of(packet: av.Packet[Any]) -> Fraction:
    """Return when a packet is shown, in s."""
    assert packet.pts is not None
    assert packet.time_base is not None
    return packet.pts * packet.time_base


def pictures(path: Path) -> list[np.ndarray]:
    """Return the decoded luma planes."""
    with av.open(str(path)) as container:
        return [frame.reformat(format="gray").to_ndarray() for frame in container.decode(video=0)]


@dataclass(frozen=True)
class Weights:
    """Stand for a weights file."""

    sha256: str


@dataclass(frozen=True)
class Upscaled:
    """Stand for the engine's result."""

    frame: Frame
    notes: tuple[str, ...] = ()
    tile: int = 96
    computed: int = 1
    reused: int = 0


class Repeater:
    """Stand for an Upscaler: every pixel is repeated."""

    precision = "fp16"

    def __init__(self, scale: int, owner: Repeaters) -> None:
        self.scale = scale
        self.device_name = owner.device
        self._owner = owner

    def plan(self, width: int, height: int) -> Repeater:
        """Return something that knows a tile."""
        return self

    tile = 96
    tiles = 1

    def precision_for(self, depth: int) -> str:
        """Return the precision for a depth, as Upscaler does."""
        return "fp32" if depth > 8 else self.precision

    def upscale(self, frame: Frame, progress: ProgressCallback = ignore_progress) -> Upscaled:
        """Enlarge a frame; stop where the owner wants it."""
        self._owner.calls += 1
        self._owner.depths.add(frame.depth)
        if self._owner.calls == self._owner.stop_at:
            raise KeyboardInterrupt
        planes = tuple(self._grown(plane) for plane in frame.planes)
        alpha = None if frame.alpha is None else self._grown(frame.alpha)
        return Upscaled(dataclasses.replace(frame, planes=planes, alpha=alpha))

    def upscale_many(self, frames: Iterable[Frame]) -> Iterator[Upscaled]:
        """Enlarge frames one by one."""
        return map(self.upscale, frames)

    def _grown(self, plane: np.ndarray) -> np.ndarray:
        return np.repeat(np.repeat(plane, self.scale, 0), self.scale, 1)


class Repeaters:
    """Stand for UpscalerPool; `stop_at` is the call at which a Ctrl-C arrives."""

    model = "repeat"
    options = EngineOptions()
    selector = ChainSelector("repeat", single_chain("repeat", (2, 3, 4)))

    def __init__(self, stop_at: int = 0, device: str = "cpu") -> None:
        self.calls = 0
        self.depths: set[int] = set()
        self.device = device
        self.stop_at = stop_at

    def for_chain(self, chain: ModelChain) -> Repeaters:
        """Return the same: there is one chain."""
        return self

    def weights(self, scale: int, pass_index: int = 0) -> Weights:
        """Return a stand-in."""
        return Weights("0" * 64)

    def weaker(self) -> None:
        """Return that there is no blend."""

    def upscaler(self, scale: int, pass_index: int = 0) -> Repeater:
        """Return a repeater."""
        return Repeater(scale, self)


def upscale(path: Path, pool: Repeaters | None = None, **options: Any) -> ClipResult:
    """Prepare and upscale a clip."""
    pool = pool or Repeaters()
    plan = prepare_clip(path, VideoOptions(**options), pool)  # type: ignore[arg-type]  # stands for UpscalerPool
    return upscale_clip(plan, pool)  # type: ignore[arg-type]
