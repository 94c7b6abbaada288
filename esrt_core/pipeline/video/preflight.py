"""Prove on two frames that encoder and muxer can do what a plan asks of them, before hours of work."""

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import MediaError
from esrt_core.media.video.clip import OtherStream
from esrt_core.media.video.mux import MuxRequest, SegmentFile, join, write_list
from esrt_core.media.video.writer import SegmentWriter
from esrt_core.pipeline.video.plan import VideoPlan

_FRAMES = 2
_PART = Fraction(2)  # seconds of the source's other streams that are tried


def check_encoder(plan: VideoPlan) -> VideoPlan:
    """Return the plan, without those data streams that this container refuses after all.

    Raise MediaError where the encoder fails, or a stream of another kind is refused.
    """
    with tempfile.TemporaryDirectory(prefix="esrt-") as name:
        folder = Path(name)
        _encode(folder / "trial.nut", plan)
        length = _FRAMES / plan.timeline.rate
        write_list(folder / "trial.ffconcat", [SegmentFile(folder / "trial.nut", Fraction(0), length)])
        return _joinable(folder, plan)


def _encode(target: Path, plan: VideoPlan) -> None:
    settings = plan.encode
    gray = bytes([128]) * settings.layout.byte_size(settings.width, settings.height)
    if settings.layout.depth > 8:  # the middle of the range, in words of two bytes
        gray = (1 << (settings.layout.depth - 1)).to_bytes(2, "little") * (len(gray) // 2)
    step = max(round(1 / (settings.rate * settings.time_base)), 1)
    try:
        with SegmentWriter(target, settings) as writer:
            for number in range(_FRAMES):
                writer.write(gray, number * step, step)
            writer.finish()
    except MediaError as error:
        raise MediaError(
            f"{plan.encoder.name} cannot make {settings.final_width} x {settings.final_height} px in {settings.pixels} "
            f"here: {error}; choose another --codec, --encoder or --pix-fmt"
        ) from error


def _joinable(folder: Path, plan: VideoPlan) -> VideoPlan:
    error = _refusal(folder, plan.join)
    if error is None:
        return plan
    fit: list[OtherStream] = []
    refused: list[OtherStream] = []
    for stream in plan.join.streams:
        alone = replace(plan.join, streams=(stream,))
        (fit if _refusal(folder, alone) is None else refused).append(stream)
    names = ", ".join(f"stream {stream.index} ({stream.kind} {stream.codec})" for stream in refused)
    if not refused or any(stream.kind not in ("data", "unknown") for stream in refused):
        what = names or "the picture"
        raise MediaError(
            f"{plan.target.name} cannot hold {what}: {error}; use -o {plan.target.with_suffix('.mkv')}"
        ) from error
    note = f"{names} was left out: {plan.container.muxer} cannot hold it"
    return replace(plan, join=replace(plan.join, streams=tuple(fit)), notes=(*plan.notes, note))


def _refusal(folder: Path, request: MuxRequest) -> MediaError | None:
    try:
        join(folder / "trial.ffconcat", folder / "trial.out", replace(request, start=Fraction(0), duration=_PART))
    except MediaError as error:
        return error
    return None
