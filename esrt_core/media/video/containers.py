"""Table of the output containers: the codecs, subtitles, attachments and metadata that each one supports.

AVI is left out: it stores no timestamps, so sound and picture could drift apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from esrt_core.media.video.clip import OtherStream

_TEXT_SUBTITLES = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "text", "mov_text", "eia_608"})
SOUND_CODECS = ("aac", "alac", "flac", "opus")  # to which sound can be converted
_ANY = frozenset({"*"})


@dataclass(frozen=True)
class Container:
    """Describe what a container supports.

    muxer        its name in ffmpeg.
    codecs       video codecs; the first is the default.
    audio, subtitles  codecs that are copied unchanged; "*" means all.
    text         the subtitle codec to which other text subtitles are converted, or None.
    attachments  fonts and other files.
    data         timecodes and other data streams.
    covers       cover art.
    supports_rotation  rotation as metadata.
    layers_alpha       the alpha of VP9, which is a second layer of every packet.
    spherical          the metadata of 360 degree clips.
    sound              the audio codec to which sound that cannot be copied is converted, or None.
    """

    muxer: str
    codecs: tuple[str, ...]
    audio: frozenset[str]
    subtitles: frozenset[str] = frozenset()
    text: str | None = None
    attachments: bool = False
    data: bool = False
    covers: bool = False
    supports_rotation: bool = False
    layers_alpha: bool = False
    spherical: bool = False
    sound: str | None = None


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MP4_AUDIO = _names("aac ac3 eac3 mp3 mp2 alac flac opus dts truehd vorbis")
_MOV_AUDIO = _MP4_AUDIO - {"flac", "opus", "vorbis"} | _names(
    "pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_f64le pcm_u8 pcm_s8"
)
_MP4 = Container(
    "mp4", ("h264", "hevc", "av1", "vp9", "ffv1"), _MP4_AUDIO, frozenset({"mov_text", "dvd_subtitle"}), "mov_text",
    data=True, covers=True, supports_rotation=True, sound="alac", spherical=True,
)  # fmt: skip
_MOV = Container(
    "mov", ("h264", "hevc", "prores", "ffv1"), _MOV_AUDIO, frozenset({"mov_text"}), "mov_text",
    data=True, covers=True, supports_rotation=True, sound="alac", spherical=True,
)  # fmt: skip
_MATROSKA = Container(
    "matroska",
    ("h264", "hevc", "av1", "vp9", "prores", "ffv1"),
    _ANY,
    _names("subrip ass ssa webvtt hdmv_pgs_subtitle hdmv_text_subtitle dvd_subtitle dvb_subtitle arib_caption"),
    "subrip", attachments=True, covers=True, supports_rotation=True, layers_alpha=True, sound="flac", spherical=True,
)  # fmt: skip
_TS_AUDIO = _names("aac ac3 eac3 mp3 mp2 dts truehd opus aac_latm pcm_bluray s302m")
_TS = Container(
    "mpegts", ("h264", "hevc"), _TS_AUDIO, _names("dvb_subtitle dvb_teletext hdmv_pgs_subtitle"), data=True, sound="aac"
)

CONTAINERS = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".qt": _MOV,
    ".mkv": _MATROSKA,
    ".webm": Container(
        "webm",
        ("vp9", "av1"),
        frozenset({"opus", "vorbis"}),
        frozenset({"webvtt"}),
        "webvtt",
        supports_rotation=True,
        layers_alpha=True,
        sound="opus",
    ),
    ".ts": _TS,
    ".mts": _TS,
    ".m2ts": _TS,
    ".flv": Container("flv", ("h264",), frozenset({"aac", "mp3"}), sound="aac"),
    ".3gp": Container(
        "3gp", ("h264",), _names("aac amr_nb amr_wb"), frozenset({"mov_text"}), supports_rotation=True, sound="aac"
    ),
    ".nut": Container("nut", ("h264", "hevc", "av1", "vp9", "ffv1"), _ANY, sound="flac"),
}


def container_of(path: Path) -> Container | None:
    """Return the container of a file name's suffix, or None if it is not supported for writing."""
    return CONTAINERS.get(path.suffix.lower())


def subtitle_codec(container: Container, codec: str) -> str | None:
    """Return "copy", the text codec to which a subtitle must be converted, or None if neither is supported."""
    if codec in container.subtitles:
        return "copy"
    return container.text if codec in _TEXT_SUBTITLES else None


def holds(container: Container, stream: OtherStream) -> bool:
    """Return whether a container supports a stream."""
    match stream.kind:
        case "audio":
            return holds_sound(container, stream.codec)
        case "subtitle":
            return subtitle_codec(container, stream.codec) is not None
        case "attachment":
            return container.attachments
        case "timecode" | "chapters":
            return True
        case "cover" | "video":
            return container.covers
        case _:
            return container.data


def holds_sound(container: Container, codec: str) -> bool:
    """Return whether a container supports an audio codec."""
    return container.audio == _ANY or codec in container.audio


def lost_streams(container: Container, streams: Iterable[OtherStream]) -> tuple[OtherStream, ...]:
    """Return the streams that a container does not support."""
    return tuple(stream for stream in streams if not holds(container, stream))
