"""What a user should know before a clip is made: what changes, and what is lost."""

from fractions import Fraction

from esrt_core.media.clip import ClipInfo
from esrt_core.media.clip_reader import ReadRequest
from esrt_core.media.clip_writer import EncodeSettings
from esrt_core.media.containers import lost_streams
from esrt_core.media.mux import JoinRequest
from esrt_core.media.pixel_layout import parse_layout
from esrt_core.pipeline.video_options import VideoOptions


def plan_notes(
    clip: ClipInfo, read: ReadRequest, options: VideoOptions, encode: EncodeSettings, join: JoinRequest
) -> tuple[str, ...]:
    """Return what the user should know of a plan."""
    video, pixels = clip.video, parse_layout(encode.pixels)
    notes = []
    if video.interlaced and not options.deinterlace:
        notes.append("the clip is interlaced and stays so, line by line; --deinterlace makes whole frames first")
    if read.flatten:
        notes.append("transparency was laid on black: this codec has none (--codec prores or ffv1 keeps it)")
    if read.turn:
        notes.append("the rotation was applied to the picture")
    if video.timing.variable and options.vfr == "constant":
        notes.append(f"the frame rate varies: made constant at {_rate(video.timing.rate)} (--vfr keep keeps the times)")
    if pixels is not None and pixels.depth < video.layout.depth:
        notes.append(f"{video.layout.depth} bits became {pixels.depth}, the most that this encoder takes")
    odd = encode.final_width % 2 or encode.final_height % 2
    if odd and options.pixels is None and pixels is not None and pixels.chroma != video.layout.chroma:
        notes.append("the odd size needs full colour resolution (4:4:4), which few players decode in hardware")
    if join.codec == "h264" and options.pixels is None and pixels is not None and pixels.depth > 8:
        notes.append(f"few players decode H.264 with {pixels.depth} bits in hardware; more do with --codec hevc")
    gone = lost_streams(join.container, clip.others)
    notes += [f"stream {stream.index} ({stream.kind} {stream.codec}) was left out" for stream in gone]
    return tuple(notes)


def _rate(rate: Fraction) -> str:
    return f"{float(rate):.3f}".rstrip("0").rstrip(".") + " frames a second"
