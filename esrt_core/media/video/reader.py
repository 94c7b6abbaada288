"""Decode the frames of a clip with their exact times: ffmpeg sends raw pictures in NUT through a pipe."""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.frame import Frame
from esrt_core.media.video.clip import FULL_RANGE, ClipInfo, PixelLayout, VideoStream
from esrt_core.media.video.damage import dropped_frame
from esrt_core.media.video.ffmpeg import LOCAL_ONLY, Process, file_url, open_clip
from esrt_core.media.video.packets import read_all_streams

# NUT's header describes the stream completely: do not probe frames before the first one is yielded.
_NO_GUESSING = {"fpsprobesize": "0", "analyzeduration": "0", "probesize": "32"}
_BUFFER = 2**20
_AFTER_KEY_FRAME = 6
_EXACT_SCALING = "flags=accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"


@dataclass(frozen=True)
class ReadRequest:
    """Options of decoding.

    rotation     rotate the pixels, because the result cannot carry the rotation as metadata.
    deinterlace  make one frame from every two fields.
    flatten      composite a transparent picture over black.
    after        seek to a key frame at or before this time in seconds; None starts at the first frame.
    """

    rotation: bool = False
    deinterlace: bool = False
    flatten: bool = False
    after: Fraction | None = None


@dataclass(frozen=True)
class ClipFrame:
    """Hold one decoded frame and its bytes; `tick` counts from the clip's first frame in the clip's time base."""

    tick: int
    data: NDArray[np.uint8]
    frame: Frame


@dataclass(frozen=True)
class PictureShape:
    """Describe decoded frames: size in px, layout and color interpretation."""

    width: int
    height: int
    layout: PixelLayout
    matrix: str
    full_range: bool


def shape_of(video: VideoStream, request: ReadRequest) -> PictureShape:
    """Return the shape of frames that are decoded for a request."""
    layout = _read_layout(video, request)
    turned = request.rotation and video.rotation in (90, 270)
    width, height = (video.height, video.width) if turned else (video.width, video.height)
    if video.is_rgb:
        return PictureShape(width, height, layout, "bt709", full_range=False)
    return PictureShape(width, height, layout, video.colors.matrix_name(height), video.colors.range == FULL_RANGE)


def _read_layout(video: VideoStream, request: ReadRequest) -> PixelLayout:
    """Return the layout that is decoded: with alpha always 4:4:4, so that color has the resolution of alpha."""
    stored = video.layout
    if stored.alpha and not request.flatten:
        return PixelLayout("444", stored.depth, alpha=True)
    return PixelLayout(stored.chroma, stored.depth)


def read_frames(clip: ClipInfo, request: ReadRequest, on_error: Callable[[str], None]) -> Generator[ClipFrame]:
    """Yield the frames in presentation order, as many as can be decoded.

    `on_error` receives every error message of the decoder as soon as it is printed.

    Raises: MediaError if ffmpeg cannot open the clip, or is killed.
    """
    shape = shape_of(clip.video, request)
    with Process(decode_arguments(clip, request), reads=True, on_error=on_error) as process:
        try:
            raw = _open_raw(process)
        except av.error.FFmpegError:
            process.finish()
            if request.after is not None:
                return  # no frame after the seek; the caller reads from the start instead
            raise MediaError(f"{clip.path} cannot be decoded: {process.reason()}") from None
        with raw:
            yield from _frames(raw, clip, shape, on_error)
        status = process.finish()
        if status < 0 or (status > 0 and not process.errors):  # killed: for a damaged clip it prints errors instead
            raise MediaError(f"{clip.path}: the decoder was killed (status {status}); rerun to resume")


def decode_arguments(clip: ClipInfo, request: ReadRequest) -> list[str]:
    """Return ffmpeg's arguments that decode the video stream of a clip.

    If the clock of the clip restarts, ffmpeg closes the gaps, which it does only without -copyts.
    """
    video = clip.video
    times = [] if clip.restarts else ["-copyts"]
    seek = [] if request.after is None else ["-noaccurate_seek", "-ss", f"{float(request.after):.6f}"]
    rotation = [] if request.rotation else ["-noautorotate"]
    # fmt: off
    return [
        *LOCAL_ONLY, *times, *seek, *layered_decoder(video), *rotation, "-f", clip.container, "-i", file_url(clip.path),
        "-map", f"0:{video.index}", "-vf", ",".join(_filters(video, request)),
        "-c:v", "rawvideo", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "nut", "pipe:1",
        *(read_all_streams(0) if clip.restarts else []),
    ]
    # fmt: on


def sample_frames(clip: ClipInfo, count: int) -> list[Frame]:
    """Return up to `count` frames spread over a clip as 8-bit RGB; those that are damaged are left out.

    A seek lands on a key frame, which loses less than the frames after it, so that a few of those are decoded.
    """
    found: list[Frame] = []
    with open_clip(clip.path) as container:
        stream = container.streams[clip.video.index]
        for place in range(count):
            after = clip.start + clip.duration * Fraction(2 * place + 1, 2 * count)
            with suppress(av.error.FFmpegError):
                if not clip.is_counted and not clip.restarts:
                    container.seek(int(after / stream.time_base), stream=stream)
                frames = list(islice(container.decode(stream), _AFTER_KEY_FRAME))
                found += [Frame((frames[-1].to_ndarray(format="rgb24"),))] if frames else []
    return [frame for frame in found if (frame.width, frame.height) == (found[0].width, found[0].height)]


def _open_raw(process: Process) -> Any:
    """Open the frames that ffmpeg sends, with the clip's metadata, which need not be Unicode."""
    return av.open(process.stdout, format="nut", buffer_size=_BUFFER, options=_NO_GUESSING, metadata_errors="replace")


def decoded_size(clip: ClipInfo) -> tuple[int, int] | None:
    """Return the width and height in px of the first frame as ffmpeg decodes it, None if it cannot.

    Only ffmpeg applies the cropping of the container and all of the codec's.
    """
    arguments = decode_arguments(clip, ReadRequest())
    arguments = [*arguments[: arguments.index("pipe:1")], "-frames:v", "1", "pipe:1"]
    with Process(arguments, reads=True) as process:
        try:
            with _open_raw(process) as raw:
                stream = raw.streams.video[0]
                return stream.width, stream.height
        except av.error.FFmpegError:
            return None


def layered_decoder(video: VideoStream) -> list[str]:
    """Return the input option that decodes the alpha of VP8 and VP9, which only libvpx does; nothing for others."""
    if video.codec in ("vp8", "vp9") and video.layout.alpha:
        return ["-c:v", f"libvpx{'-vp9' if video.codec == 'vp9' else ''}"]
    return []


def _filters(video: VideoStream, request: ReadRequest) -> list[str]:
    """Count time from the first frame, because NUT holds no negative times; then convert to the carried layout."""
    filters = [f"setpts=PTS-({video.timing.first})"]
    if request.deinterlace:
        filters.append("bwdif=mode=send_frame")
    if video.is_rgb:
        filters.append(f"scale=out_color_matrix=bt709:out_range=tv:{_EXACT_SCALING}")
    elif not video.is_carried_exactly:
        filters.append(f"scale={_EXACT_SCALING}")
    layout = _read_layout(video, request)
    if request.flatten:
        full = PixelLayout("444", layout.depth, alpha=True)
        filters += [f"format={full.name}", "premultiply=inplace=1"]
    # yuvj formats mean full range; given the plain name, ffmpeg might convert to studio range.
    full_range = video.pixels.startswith("yuvj") and not layout.alpha
    return [*filters, f"format={layout.name.replace('yuv', 'yuvj') if full_range else layout.name}"]


def _packets_until_end(raw: Any, stream: Any) -> Iterator[Any]:
    """Yield packets until the decoder exits, even if it exits within a packet."""
    try:
        yield from raw.demux(stream)
    except (av.error.FFmpegError, EOFError):
        return


def _frames(raw: Any, clip: ClipInfo, shape: PictureShape, on_error: Callable[[str], None]) -> Iterator[ClipFrame]:
    stream = raw.streams.video[0]
    size = shape.layout.byte_size(shape.width, shape.height)
    latest = -1
    for number, packet in enumerate(packet for packet in _packets_until_end(raw, stream) if packet.size):
        tick = _counted_tick(clip, number) if clip.is_counted else _tick(clip, packet.pts * stream.time_base)
        if packet.size != size:  # the last one, if the decoder was killed
            on_error(dropped_frame(clip, tick, "it is incomplete"))
            continue
        if tick <= latest:
            on_error(dropped_frame(clip, tick, "its time repeats or goes backward"))
            continue
        latest = tick
        data = np.frombuffer(packet, np.uint8)
        yield ClipFrame(tick, data, shape.layout.frame(data, shape.width, shape.height, shape.matrix, shape.full_range))


def _tick(clip: ClipInfo, seconds: Fraction) -> int:
    return round(seconds / clip.video.timing.time_base)


def _counted_tick(clip: ClipInfo, number: int) -> int:
    if number < len(clip.slots):
        return clip.slots[number] - clip.slots[0]
    return clip.slots[-1] - clip.slots[0] + 1 + number - len(clip.slots) if clip.slots else number
