"""A preview: the source, enlarged by bicubic interpolation, and the result, side by side."""

from pathlib import Path

from esrt_core.media.clip_writer import REPEATABLE, EncodeSettings
from esrt_core.media.ffmpeg import LOCAL_ONLY, file_url, run
from esrt_core.media.mux import JoinRequest


def join_preview(pieces: Path, target: Path, request: JoinRequest, settings: EncodeSettings) -> None:
    """Make the preview of a list of segments and their source; the picture alone, and the first sound.

    Raise MediaError where ffmpeg cannot.
    """
    run(preview_arguments(pieces, target, request, settings))


def preview_arguments(pieces: Path, target: Path, request: JoinRequest, settings: EncodeSettings) -> list[str]:
    """Return ffmpeg's arguments for `join_preview`."""
    source, video = request.source, request.source.video
    width, height, rate = settings.final_width, settings.final_height, settings.rate
    start = float(request.start + request.offset)
    turn = "" if request.rotation == 0 else _TURNS[request.rotation]
    sizing = f"scale={width}:{height}:flags=bicubic+accurate_rnd,format={settings.pixels}"
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    graph = (
        f"[1:{video.index}]setpts=PTS-STARTPTS,fps={rate.numerator}/{rate.denominator},{sizing},setsar=1{turn}[left];"
        f"[0:v:0]setpts=PTS-STARTPTS,setsar=1{turn}[right];[left][right]hstack=shortest=1,{even}[both]"
    )
    sound = [stream for stream in request.streams if stream.kind == "audio"][:1]
    # fmt: off
    return [
        *LOCAL_ONLY, "-f", "concat", "-i", file_url(pieces),
        *LOCAL_ONLY, "-noautorotate", "-ss", f"{start:.6f}", "-f", source.container, "-i", file_url(source.path),
        "-filter_complex", graph, "-map", "[both]",
        *[argument for stream in sound for argument in ("-map", f"1:{stream.index}")],
        "-c:a", "copy", "-shortest", *settings.encoder, *REPEATABLE,
        "-f", request.container.muxer, "-y", file_url(target),
    ]
    # fmt: on


_TURNS = {90: ",transpose=cclock", 180: ",transpose=clock,transpose=clock", 270: ",transpose=clock"}
