"""Open a clip for PyAV, so that nothing but the clip itself is read."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from esrt_core.errors import MediaError
from esrt_core.media.ffmpeg import LOCAL_ONLY, file_url

_LISTS = {"hls", "concat", "dash", "applehttp", "imf", "image2", "tty", "sdp", "rtsp", "lavfi"}


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Yield the container of a clip; raise MediaError where it is none."""
    if path.is_dir():
        raise MediaError(f"{path} is a folder, not a clip")
    try:
        container = av.open(file_url(path), options=_only_clips(), metadata_errors="replace")
    except FileNotFoundError as error:
        raise MediaError(f"{path} does not exist") from error
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to read it") from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path} is not a clip that ffmpeg can read: {error.strerror or error}") from error
    with container:
        yield container


@functools.cache
def _only_clips() -> dict[str, str]:
    """Return the options that keep a file from leading to others: no network, no list that is named like a clip."""
    return {LOCAL_ONLY[0][1:]: LOCAL_ONLY[1], "format_whitelist": ",".join(sorted(av.formats_available - _LISTS))}
