"""What the user should know before the work on a clip: what changes, and what is lost."""

from fractions import Fraction

from esrt_core.media.video.captions import CEA_608
from esrt_core.media.video.clip import ClipInfo, OtherStream, parse_layout
from esrt_core.media.video.containers import Container, container_of, lost_streams
from esrt_core.media.video.mux import MuxRequest
from esrt_core.media.video.reader import ReadRequest
from esrt_core.media.video.writer import EncodeSettings
from esrt_core.pipeline.video.options import VideoOptions


def plan_notes(
    clip: ClipInfo, read: ReadRequest, options: VideoOptions, encode: EncodeSettings, mux: MuxRequest
) -> tuple[str, ...]:
    """Return what the user should know before the work: what changes, and what is lost."""
    video, pixels = clip.video, parse_layout(encode.pixels)
    notes = []
    if options.many and container_of(clip.path) is None and mux.container.muxer == "matroska":
        notes.append(f"{clip.path.suffix} cannot be written: the result is Matroska (.mkv)")
    if video.interlaced and not options.deinterlace:
        notes.append("the clip is interlaced and stays interlaced; --deinterlace makes progressive frames first")
    if read.flatten:
        notes.append("transparency is flattened onto black: this codec has no alpha (--codec prores or ffv1 keeps it)")
    if read.rotation:
        notes.append("the picture is rotated: this container cannot store a rotation")
    if video.timing.variable and options.vfr == "constant":
        notes.append(_variable_rate(clip))
    if clip.captions and not options.preview:
        notes.append(_captions_note(clip, mux))
    if clip.spherical and not mux.spherical:
        notes.append("the spherical (360 degree) metadata is lost: only .mp4, .mov and .mkv with most codecs hold it")
    if clip.restarts:
        times = ", ".join(f"{float(seconds):.2f} s" for seconds in clip.restarts[:_LISTED])
        notes.append(f"the clock of the file restarts at {times}: the parts follow each other without a gap")
    if pixels is not None and pixels.depth < video.layout.depth:
        notes.append(f"{video.layout.depth} bits are reduced to {pixels.depth}, the most that this encoder supports")
    odd = encode.width % 2 or encode.height % 2
    if odd and options.pixels is None and pixels is not None and pixels.chroma != video.layout.chroma:
        notes.append("the odd size needs full color resolution (4:4:4), which few players decode in hardware")
    if mux.codec == "h264" and options.pixels is None and pixels is not None and pixels.depth > 8:
        notes.append(f"few players decode H.264 with {pixels.depth} bits in hardware; more do with --codec hevc")
    lost = unsupported_streams(clip, mux.container, options)
    notes += [f"stream {stream.index} ({stream.kind} {stream.codec}) is left out" for stream in lost]
    return tuple(notes)


_LISTED = 5


def _captions_note(clip: ClipInfo, mux: MuxRequest) -> str:
    if mux.captions:
        return "the closed captions of the picture become a subtitle stream"
    if CEA_608 not in clip.captions:
        return "the closed captions of the picture (CEA-708) are lost: only CEA-608 can be converted"
    return f"the closed captions of the picture are lost: {mux.container.muxer} has no text subtitles (.mkv has)"


def _variable_rate(clip: ClipInfo) -> str:
    timing = clip.video.timing
    if clip.slots:
        return (
            f"{timing.repeats} frames of the file are empty: the frame before is shown longer "
            "(--vfr keep stores it once)"
        )
    rate = _rate(timing.rate)
    if not timing.repeats and not timing.lost:
        return (
            f"the frames are unevenly spaced, as in telecined film: made even at {rate}, none repeated or dropped "
            "(--vfr keep keeps the times)"
        )
    return (
        f"the frame rate is variable: converted to constant {rate}, about {timing.repeats} frames repeated and "
        f"{timing.lost} dropped (--vfr keep keeps the times)"
    )


def _rate(rate: Fraction) -> str:
    return f"{float(rate):.3f}".rstrip("0").rstrip(".") + " frames a second"


def unsupported_streams(clip: ClipInfo, container: Container, options: VideoOptions) -> tuple[OtherStream, ...]:
    """Return the streams that the container does not support as they are asked for."""
    lost = lost_streams(container, clip.other_streams)
    return lost if options.audio == "copy" else tuple(stream for stream in lost if stream.kind != "audio")
