"""Run the ffmpeg of imageio-ffmpeg, and open clips with PyAV: no shell, no terminal, no network, no other files."""

import functools
import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import av

from esrt_core.errors import MediaError
from esrt_core.media.extensions import VIDEO_EXTENSIONS

LOCAL_ONLY = ("-protocol_whitelist", "file,pipe,fd")
_KEPT_LINES = 200
_NEW_GROUP = 0x200  # Windows: CREATE_NEW_PROCESS_GROUP
_CONTEXT = re.compile(r"^(\[[^\]]*\] )+")


@functools.cache
def program() -> str:
    """Return the path of the ffmpeg executable.

    Raises: MediaError if there is none.
    """
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MediaError("no ffmpeg was found: run 'pip install imageio-ffmpeg', or set IMAGEIO_FFMPEG_EXE") from error


def file_url(path: Path) -> str:
    """Return a URL that ffmpeg takes literally: no protocol, option or pattern in the path is interpreted."""
    return f"file:{path.absolute()}"


def output_of(arguments: Sequence[str]) -> str:
    """Run ffmpeg until it exits and return its standard output."""
    done = subprocess.run(
        [program(), "-hide_banner", "-nostdin", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.stdout.decode("utf-8", "replace")


@functools.cache
def version() -> str:
    """Return the version of ffmpeg, such as "9.0.2"."""
    found = re.search(r"version (\S+)", output_of(["-version"]))
    return found.group(1) if found else "unknown"


@functools.cache
def encoders() -> frozenset[str]:
    """Return the names of the encoders that this ffmpeg was built with."""
    return frozenset(re.findall(r"^ [VAS][F.][S.][X.][B.][D.] (\S+)", output_of(["-encoders"]), re.MULTILINE))


@functools.cache
def has_option(name: str) -> bool:
    """Return whether this ffmpeg's command line has an option, such as "mastering_display"."""
    return re.search(rf"^-{name}\b", output_of(["-h", "long"]), re.MULTILINE) is not None


def stream_tags(path: Path, container: str) -> dict[int, str]:
    """Return the four-character codes of the streams of a file by their index, which PyAV gives for no data stream."""
    lines = _description(path, container)
    tags = (re.match(r" +Stream #0:(\d+).*?: \w+: .*\((....) / 0x[0-9A-F]+\)", line) for line in lines)
    return {int(found[1]): found[2] for found in tags if found}


def dolby_vision_profile(path: Path, container: str) -> int | None:
    """Return the profile of a file's Dolby Vision configuration, which PyAV does not give, or None."""
    found = re.search(r"DOVI configuration record: .*?profile: (\d+)", "\n".join(_description(path, container)))
    return int(found[1]) if found else None


def _description(path: Path, container: str) -> list[str]:
    """Return the lines that ffmpeg prints about a file."""
    arguments = [program(), "-hide_banner", "-nostdin", *LOCAL_ONLY, "-f", container, "-i", file_url(path)]
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stderr.decode("utf-8", "replace").splitlines()


class Process:
    """Run ffmpeg in the background; `errors` collects the messages it prints.

    It has its own process group, so that Ctrl-C in a terminal reaches only this program, which then ends ffmpeg.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        feeds: bool = False,
        reads: bool = False,
        on_error: Callable[[str], None] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [program(), "-hide_banner", "-nostdin", "-loglevel", "repeat+error", *arguments],
            stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
            stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            creationflags=_NEW_GROUP if os.name == "nt" else 0,
            start_new_session=os.name != "nt",
        )
        self.errors: deque[str] = deque(maxlen=_KEPT_LINES)
        self._on_error = on_error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to its standard input."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe from its standard output."""
        assert self._process.stdout is not None
        return self._process.stdout

    def finish(self) -> int:
        """Wait until it exits and return the exit status."""
        status = self._process.wait()
        self._listener.join()
        return status

    def kill(self) -> None:
        """Kill it if it is still running, and close its pipes."""
        if self._process.poll() is None:
            self._process.kill()
        self.finish()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # data still to be flushed has no reader any more
                    continue

    def reason(self) -> str:
        """Return the first message, which is usually the cause."""
        return self.errors[0] if self.errors else "no reason given"

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            message = _CONTEXT.sub("", line.decode("utf-8", "replace").strip())
            if message:
                self.errors.append(message)
                if self._on_error is not None:
                    self._on_error(message)


def run(arguments: Sequence[str], folder: Path | None = None) -> None:
    """Run ffmpeg until it exits, in a working folder if one is given.

    Raises: MediaError with its first message if it fails.
    """
    with Process(arguments, folder=folder) as process:
        if process.finish() != 0:
            raise MediaError(f"ffmpeg failed: {process.reason()}")


_PLAYLISTS = {"hls", "concat", "dash", "applehttp", "imf", "image2", "tty", "sdp", "rtsp", "lavfi"}


@contextmanager
def open_clip(path: Path) -> Iterator[Any]:
    """Open a clip with PyAV and yield its container.

    Raises: MediaError if the file is missing or not a clip.
    """
    if path.is_dir():
        raise MediaError(f"{path} is a folder, not a clip")
    try:
        container = av.open(file_url(path), options=_only_clips(), metadata_errors="replace")
    except FileNotFoundError as error:
        raise MediaError(f"{path} does not exist") from error
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to read it") from error
    except (av.error.FFmpegError, OSError) as error:
        reason = f"{path} is not a clip that ffmpeg can read: {error.strerror or error}"
        advice = "" if path.suffix.lower() in VIDEO_EXTENSIONS else f"; if it is a picture, use: esrt upscale {path}"
        raise MediaError(reason + advice) from error
    with container:
        yield container


@functools.cache
def _only_clips() -> dict[str, str]:
    """Return options that keep a file from referring to others: no network, no playlist that is named like a clip."""
    return {LOCAL_ONLY[0][1:]: LOCAL_ONLY[1], "format_whitelist": ",".join(sorted(av.formats_available - _PLAYLISTS))}
