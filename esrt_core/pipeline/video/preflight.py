"""Dry run: encode and mux two frames as planned, to fail before hours of work rather than after.

It works in the folder of the work, with the names and streams of the result, and reads the result again.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import MediaError, TargetError
from esrt_core.files import nearest_existing
from esrt_core.media.video.clip import ClipInfo, OtherStream
from esrt_core.media.video.ffmpeg import open_clip, stream_tags
from esrt_core.media.video.mux import (
    CAPTIONS_NAME,
    LIST_NAME,
    MuxRequest,
    SegmentFile,
    copied_streams,
    mux,
    mux_preview,
    write_list,
)
from esrt_core.media.video.packets import has_packet
from esrt_core.media.video.reader import ReadRequest
from esrt_core.media.video.writer import EncodeSettings, FrameWriter
from esrt_core.pipeline.video.plan import VideoPlan
from esrt_core.pipeline.video.resume import proven_seek

_FRAMES = 2
_PART = Fraction(2)  # seconds of the source's other streams that are muxed
_LAYER = "matroska_block_additional"  # PyAV's name of the side data with the alpha of VP9
_CAPTION = "1\n00:00:00,000 --> 00:00:01,000\ncaption\n"


def segment_name(number: int, settings: EncodeSettings) -> str:
    """Return the file name of a segment."""
    return f"segment_{number:06d}{settings.suffix}"


def preview_read(plan: VideoPlan) -> ReadRequest:
    """Return how the source is decoded for a preview: from a proven seek at or before its first frame."""
    return replace(plan.read, after=proven_seek(plan.clip, plan.read, plan.timeline.first_tick))


def check_encoder(plan: VideoPlan) -> VideoPlan:
    """Return the plan, without the data streams that ffmpeg cannot mux correctly into this container.

    Raises: MediaError if the encoder fails, or a stream of another kind cannot be muxed; TargetError if the folder
    cannot be written.
    """
    with _trial_folder(plan.work) as folder:
        name = segment_name(0, plan.encode)
        _encode(folder / name, plan)
        length = _FRAMES / plan.timeline.rate
        write_list(folder / LIST_NAME, [SegmentFile(folder / name, Fraction(0), length)])
        if plan.options.preview:
            return _with_possible_sound(folder, plan)
        return _without_refused_streams(folder, plan)


@contextmanager
def _trial_folder(work: Path) -> Iterator[Path]:
    """Yield a new folder in the folder of the work; afterwards remove it and every parent that was made for it."""
    existing = nearest_existing(work)
    try:
        work.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="preflight-", dir=work))
    except OSError as error:
        raise TargetError(f"cannot write {work}: {error.strerror}; choose another folder with -o") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in (work, *work.parents):
            try:
                if parent == existing:
                    break
                parent.rmdir()
            except OSError:  # it is not empty, or another run has removed it
                break


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
            f"{plan.encoder.name} cannot encode {settings.width} x {settings.height} px in "
            f"{settings.pixels} on this machine: {error}; choose another --codec, --encoder or --pix-fmt"
        ) from error


def _with_possible_sound(folder: Path, plan: VideoPlan) -> VideoPlan:
    """Return the plan of a preview; sound that its container cannot hold as it is is converted."""
    read = preview_read(plan)
    try:
        mux_preview(folder / LIST_NAME, folder / plan.target.name, plan.mux, plan.encode, read, 1)
    except MediaError:
        sounds = [stream for stream in plan.mux.streams if stream.kind == "audio"]
        if not sounds or plan.container.sound is None:
            raise
        plan = _with_converted(plan, sounds)
        mux_preview(folder / LIST_NAME, folder / plan.target.name, plan.mux, plan.encode, read, 1)
    return plan


def _without_refused_streams(folder: Path, plan: VideoPlan) -> VideoPlan:
    error = _mux_error(folder, plan)
    if error is None:
        return _without_broken_streams(folder, plan)
    accepted: list[OtherStream] = []
    refused: list[OtherStream] = []
    for stream in plan.mux.streams:
        alone = replace(plan, mux=replace(plan.mux, streams=(stream,)))
        (accepted if _mux_error(folder, alone) is None else refused).append(stream)
    empty = [stream for stream in refused if not _has_data(plan.clip, stream)]
    if empty:
        return _without_refused_streams(folder, _smaller(plan, empty, "there is no data in it"))
    if refused and (plan.options.drop or all(stream.kind in ("data", "unknown") for stream in refused)):
        return _leave_out(folder, plan, refused)
    if refused and plan.container.sound and all(stream.kind == "audio" for stream in refused):
        return _convert_sound(folder, plan, refused)
    what = _names(refused) or "the picture"
    other = "" if plan.container.muxer == "matroska" else f"use -o {plan.target.with_suffix('.mkv')}, or "
    raise MediaError(
        f"{plan.target.name} cannot contain {what}: {error}; {other}use --drop-streams to leave it out"
    ) from error


def _convert_sound(folder: Path, plan: VideoPlan, refused: Sequence[OtherStream]) -> VideoPlan:
    """Return the plan with the sound that was refused converted: no container can hold it as it is."""
    converted = _with_converted(plan, refused)
    error = _mux_error(folder, converted)
    if error is not None:
        raise MediaError(
            f"{plan.target.name} cannot contain {_names(refused)}: {error}; use --drop-streams to leave it out"
        ) from error
    return _without_broken_streams(folder, converted)


def _with_converted(plan: VideoPlan, sounds: Sequence[OtherStream]) -> VideoPlan:
    codec = plan.container.sound or "flac"
    request = replace(plan.mux, converted=tuple(stream.index for stream in sounds), sound=codec)
    note = f"{_names(sounds)} is converted to {codec}: {plan.container.muxer} cannot contain it"
    return replace(plan, mux=request, notes=(*plan.notes, note))


def _smaller(plan: VideoPlan, left_out: Sequence[OtherStream], reason: str) -> VideoPlan:
    kept = tuple(stream for stream in plan.mux.streams if stream not in left_out)
    note = f"{_names(left_out)} is left out: {reason}"
    return replace(plan, mux=replace(plan.mux, streams=kept), notes=(*plan.notes, note))


def _has_data(clip: ClipInfo, stream: OtherStream) -> bool:
    return has_packet(clip, stream.index, clip.start, clip.start + clip.duration)


def _leave_out(folder: Path, plan: VideoPlan, refused: Sequence[OtherStream]) -> VideoPlan:
    """Return the plan without some streams, after a trial with the others."""
    smaller = _smaller(plan, refused, f"{plan.container.muxer} does not support it")
    error = _mux_error(folder, smaller)
    if error is not None:
        raise MediaError(f"{plan.target.name} cannot contain the other streams: {error}") from error
    return _without_broken_streams(folder, smaller)


def _without_broken_streams(folder: Path, plan: VideoPlan) -> VideoPlan:
    """Read the trial's result: leave out data streams that lost their description, as iPhone metadata does in MOV."""
    copied = copied_streams(plan.mux)
    result = folder / plan.target.name
    before, after = stream_tags(plan.clip.path, plan.clip.container), stream_tags(result, plan.container.muxer)
    broken = [
        stream for number, stream in enumerate(copied, 1)
        if stream.kind == "data" and before.get(stream.index) != after.get(number)
    ]  # fmt: skip
    if broken:
        return _leave_out(folder, plan, broken)
    if plan.encode.layers_alpha and not _has_layer(result):
        raise MediaError(f"{plan.target.name} would lose the transparency; use --codec ffv1 or prores")
    return plan


def _has_layer(result: Path) -> bool:
    with open_clip(result) as container:
        return any(data.data_type == _LAYER for packet in container.demux(video=0) for data in packet.iter_sidedata())


def _names(streams: Sequence[OtherStream]) -> str:
    return ", ".join(f"stream {stream.index} ({stream.kind} {stream.codec})" for stream in streams)


def _mux_error(folder: Path, plan: VideoPlan) -> MediaError | None:
    request: MuxRequest = replace(plan.mux, start=Fraction(0), duration=_PART)
    captions = None
    if request.captions:
        captions = folder / CAPTIONS_NAME
        captions.write_text(_CAPTION, encoding="ascii")
    try:
        mux(folder / LIST_NAME, folder / plan.target.name, request, captions)
    except MediaError as error:
        return error
    return None
