"""The ffmpeg that imageio-ffmpeg brings: one way to start it, without a shell, a terminal or a network.

Open a clip for PyAV, so that nothing but the clip itself is read.
"""

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

LOCAL_ONLY = ("-protocol_whitelist", "file,pipe,fd")
_KEPT_LINES = 200
_NEW_GROUP = 0x200  # Windows: CREATE_NEW_PROCESS_GROUP
_CONTEXT = re.compile(r"^(\[[^\]]*\] )+")


@functools.cache
def program() -> str:
    """Return the path of ffmpeg; raise MediaError where there is none."""
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MediaError("no ffmpeg was found: run 'pip install imageio-ffmpeg', or set IMAGEIO_FFMPEG_EXE") from error


def file_url(path: Path) -> str:
    """Return a path as ffmpeg takes it literally: no protocol, option or pattern can hide in it."""
    return f"file:{path.absolute()}"


def said(arguments: Sequence[str]) -> str:
    """Run ffmpeg to its end and return its standard output."""
    done = subprocess.run(
        [program(), "-hide_banner", "-nostdin", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.stdout.decode("utf-8", "replace")


@functools.cache
def version() -> str:
    """Return ffmpeg's own version text, such as "9.0.2"."""
    found = re.search(r"version (\S+)", said(["-version"]))
    return found.group(1) if found else "unknown"


@functools.cache
def encoders() -> frozenset[str]:
    """Return the names of the encoders that this ffmpeg was built with."""
    return frozenset(re.findall(r"^ [VAS][F.][S.][X.][B.][D.] (\S+)", said(["-encoders"]), re.MULTILINE))


@functools.cache
def has_option(name: str) -> bool:
    """Say whether this ffmpeg's command line knows an option, such as "mastering_display"."""
    return re.search(rf"^-{name}\b", said(["-h", "long"]), re.MULTILINE) is not None


class Process:
    """One running ffmpeg; `errors` gathers what it says, one message each.

    It gets its own process group, so that Ctrl-C in a terminal reaches this program alone, which then ends it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        feeds: bool = False,
        reads: bool = False,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [program(), "-hide_banner", "-nostdin", "-loglevel", "repeat+error", *arguments],
            stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
            stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            creationflags=_NEW_GROUP if os.name == "nt" else 0,
            start_new_session=os.name != "nt",
        )
        self.errors: deque[str] = deque(maxlen=_KEPT_LINES)
        self._heard = on_error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @property
    def stdin(self) -> IO[bytes]:
        """Where its input is written."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Where its output is read."""
        assert self._process.stdout is not None
        return self._process.stdout

    def finish(self) -> int:
        """Wait for its end and return its exit status."""
        status = self._process.wait()
        self._listener.join()
        return status

    def kill(self) -> None:
        """End it now, if it still runs, and close its pipes."""
        if self._process.poll() is None:
            self._process.kill()
        self.finish()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # what was still to be flushed has no reader any more
                    continue

    def reason(self) -> str:
        """Return the message that tells most: the first one."""
        return self.errors[0] if self.errors else "it gave no reason"

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            message = _CONTEXT.sub("", line.decode("utf-8", "replace").strip())
            if message:
                self.errors.append(message)
                if self._heard is not None:
                    self._heard(message)


def run(arguments: Sequence[str]) -> None:
    """Run ffmpeg to its end; raise MediaError with its first message where it fails."""
    with Process(arguments) as process:
        if process.finish() != 0:
            raise MediaError(f"ffmpeg stopped: {process.reason()}")


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
