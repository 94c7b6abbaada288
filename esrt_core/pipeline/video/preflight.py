"""Dry run: encode and mux two frames as planned, to fail before hours of work rather than after."""

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import MediaError
from esrt_core.media.video.clip import OtherStream
from esrt_core.media.video.mux import MuxRequest, SegmentFile, mux, write_list
from esrt_core.media.video.writer import FrameWriter
from esrt_core.pipeline.video.plan import VideoPlan

_FRAMES = 2
_PART = Fraction(2)  # seconds of the source's other streams that are muxed


def check_encoder(plan: VideoPlan) -> VideoPlan:
    """Return the plan, without the data streams that ffmpeg cannot mux into this container.

    Raises: MediaError if the encoder fails, or a stream of another kind cannot be muxed.
    """
    with tempfile.TemporaryDirectory(prefix="esrt-") as name:
        folder = Path(name)
        _encode(folder / "trial.nut", plan)
        length = _FRAMES / plan.timeline.rate
        write_list(folder / "trial.ffconcat", [SegmentFile(folder / "trial.nut", Fraction(0), length)])
        return _without_refused_streams(folder, plan)


def _encode(target: Path, plan: VideoPlan) -> None:
    settings = plan.encode
    gray = bytes([128]) * settings.layout.byte_size(settings.width, settings.height)
    if settings.layout.depth > 8:  # the middle of the range in 16-bit words
        gray = (1 << (settings.layout.depth - 1)).to_bytes(2, "little") * (len(gray) // 2)
    step = max(round(1 / (settings.rate * settings.time_base)), 1)
    try:
        with FrameWriter(target, settings) as writer:
            for number in range(_FRAMES):
                writer.write(gray, number * step, step)
            writer.finish()
    except MediaError as error:
        raise MediaError(
            f"{plan.encoder.name} cannot encode {settings.final_width} x {settings.final_height} px in "
            f"{settings.pixels} on this machine: {error}; choose another --codec, --encoder or --pix-fmt"
        ) from error


def _without_refused_streams(folder: Path, plan: VideoPlan) -> VideoPlan:
    error = _mux_error(folder, plan.mux)
    if error is None:
        return plan
    accepted: list[OtherStream] = []
    refused: list[OtherStream] = []
    for stream in plan.mux.streams:
        alone = replace(plan.mux, streams=(stream,))
        (accepted if _mux_error(folder, alone) is None else refused).append(stream)
    names = ", ".join(f"stream {stream.index} ({stream.kind} {stream.codec})" for stream in refused)
    if not refused or any(stream.kind not in ("data", "unknown") for stream in refused):
        what = names or "the picture"
        raise MediaError(
            f"{plan.target.name} cannot contain {what}: {error}; use -o {plan.target.with_suffix('.mkv')}"
        ) from error
    note = f"{names} is left out: {plan.container.muxer} does not support it"
    return replace(plan, mux=replace(plan.mux, streams=tuple(accepted)), notes=(*plan.notes, note))


def _mux_error(folder: Path, request: MuxRequest) -> MediaError | None:
    try:
        mux(folder / "trial.ffconcat", folder / "trial.out", replace(request, start=Fraction(0), duration=_PART))
    except MediaError as error:
        return error
    return None
