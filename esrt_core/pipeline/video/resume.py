"""Resume unfinished work on a clip.

The work folder holds the finished segments and the resume log: a header with everything that the result depends on,
then one line a segment. One run at a time may use the folder. A run that resumes seeks to the frame after the last
segment, and checks by a checksum that the seek reached it.
"""

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

from esrt_core.decoding import decode_rows
from esrt_core.engine.options import MAX_TILE
from esrt_core.errors import OptionError, TargetError
from esrt_core.files import atomic_write
from esrt_core.media.video import ffmpeg
from esrt_core.media.video.clip import ClipInfo
from esrt_core.media.video.reader import ClipFrame, ReadRequest, decode_arguments, read_frames
from esrt_core.media.video.writer import encode_arguments
from esrt_core.pipeline.video.plan import VideoPlan
from esrt_core.selection import UpscalerPool, hashes_of

_VERSION = 1
_BLOCK = 2**20
MAX_THREADS = 16  # of an encoder
_SEGMENT_SUFFIXES = (".nut", ".mkv")


@dataclass(frozen=True)
class Header:
    """Hold everything that the bytes of a result depend on, under names that a user knows.

    between  bits of the frames between passes and before a reduction, None for those of the clip. Version 0.1.0 always
             kept those of the clip.
    strength  of a blend of the results of two kinds, None for one.
    kind     the kind of picture for which the weights were chosen, None if the user chose them.
    """

    source: tuple[int, int]
    size: tuple[tuple[int, ...], int, int]
    part: tuple[str, ...]
    decoding: tuple[str, ...]
    codec: tuple[str, ...]
    segment: int
    preview: bool
    model: tuple[str, ...]
    device: tuple[str, str]
    tile: tuple[int | None, bool]
    streams: tuple[int, ...]
    ffmpeg: str
    threads: int
    between: int | None = None
    kind: str | None = None
    strength: float | None = None
    version: int = _VERSION


@dataclass(frozen=True)
class Segment:
    """Describe a finished segment.

    slots               number of frames; `first` is the number of the first one in the result.
    start, end          in ticks of the result: when the first frame begins, and when the last one ends.
    source_tick, check  the source frame that is shown last, and the CRC-32 of its decoded bytes, to verify a resume.
    tile                side of the engine's tiles, px.
    reused              frames that equaled the frame before them.
    damage              error messages of the decoder.
    """

    number: int
    name: str
    first: int
    slots: int
    start: int
    end: int
    size: int
    sha256: str
    source_tick: int
    check: int
    tile: int
    reused: int
    damage: tuple[str, ...] = ()

    def follows(self, number: int, first: int) -> bool:
        """Return whether the values are possible for the segment of a number that begins with frame `first`."""
        names = [f"segment_{number:06d}{suffix}" for suffix in _SEGMENT_SUFFIXES]
        return (
            (self.number, self.first) == (number, first)
            and self.name in names
            and self.slots > 0
            and 0 <= self.start < self.end
            and 0 <= self.tile <= MAX_TILE
        )


class ResumeLog:
    """Read and append to the resume log of one work folder; a line that is not what it should be is ignored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "journal.jsonl"

    def header(self) -> Header | None:
        """Return the header with which the work was begun, or None if there is none of this version."""
        headers = decode_rows(self._lines()[:1], Header)
        return next((header for header in headers if header.version == _VERSION), None)

    def begin(self, header: Header, segments: Sequence[Segment] = ()) -> None:
        """Write a new log with the given segments; this also removes an incomplete last line."""
        records = [dataclasses.asdict(header), *map(dataclasses.asdict, segments)]
        with atomic_write(self._path, overwrite=True) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    def add(self, segment: Segment) -> None:
        """Append a segment; the line is on the disk when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(segment)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def segments(self) -> list[Segment]:
        """Return the finished segments, in order, up to the first whose file differs from its row."""
        complete = itertools.takewhile(lambda each: digest(self.folder / each.name) == each.sha256, self._present())
        return list(complete)

    def frames(self) -> int:
        """Return the number of frames in the finished segments, whose files are not read."""
        return sum(segment.slots for segment in self._present())

    def _present(self) -> Iterator[Segment]:
        """Yield the segments in order, up to the first whose row is impossible or whose file has another size."""
        number = first = 0
        for segment in decode_rows(self._lines()[1:], Segment):
            if not segment.follows(number, first) or _size(self.folder / segment.name) != segment.size:
                return
            yield segment
            number, first = number + 1, first + segment.slots

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TargetError(f"cannot read {self._path}: {error.strerror}; remove it to start again") from error


def _size(file: Path) -> int | None:
    """Return the bytes of a regular file, None if there is none."""
    return file.stat().st_size if file.is_file() and not file.is_symlink() else None


def finished_frames(folder: Path) -> int:
    """Return the number of frames in the finished segments of a work folder."""
    return ResumeLog(folder).frames()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


_NOT_IN_SEGMENTS = ("version", "kind", "streams")  # what other streams are muxed at the end may change


def check_header(earlier: Header, now: Header, folder: Path) -> None:
    """Check that unfinished work can be resumed.

    Raises: OptionError, naming what differs, if the work was begun with another source or other options.
    """
    names = [field.name for field in dataclasses.fields(Header) if field.name not in _NOT_IN_SEGMENTS]
    changed = [name for name in names if getattr(earlier, name) != getattr(now, name)]
    if not changed:
        return
    reason = f"other options, or another version of esrt ({', '.join(changed)})"
    if changed == ["between"]:
        reason = "it was begun by an earlier version of esrt, which rounded the frames after every pass"
    if "source" in changed:
        reason = "the source has changed since"
    raise OptionError(f"cannot resume {folder}: {reason}; rerun with the original options, or --restart")


# Seconds before the wanted frame to which to seek, so that its reference frames are decoded too; a seek may land late.
_MARGINS = (Fraction(10), Fraction(40), Fraction(160))


@dataclass(frozen=True)
class ResumePoint:
    """Identify a source frame by its tick and the checksum of its decoded bytes."""

    tick: int
    check: int


def checksum(frame: ClipFrame) -> int:
    """Return the CRC-32 of a frame's decoded bytes."""
    return zlib.crc32(frame.data.data)


def frames_from(
    clip: ClipInfo,
    read: ReadRequest,
    first_tick: int,
    resume_point: ResumePoint | None,
    on_error: Callable[[str], None],
) -> Generator[ClipFrame]:
    """Yield the frames from the one shown at `first_tick` on, or from a resume point on (its frame is the first).

    A seek is trusted if the frame of the resume point decodes to the same bytes as in the earlier run; otherwise the
    clip is decoded from its start.
    """
    tick = first_tick if resume_point is None else resume_point.tick
    request = replace(read, after=proven_seek(clip, read, tick))
    if resume_point is None:
        yield from read_frames(clip, request, on_error)
        return
    sought = (frame for frame in read_frames(clip, request, on_error) if frame.tick >= tick)
    first = next(sought, None)
    if first is not None and (first.tick, checksum(first)) == (resume_point.tick, resume_point.check):
        yield first
        yield from sought
        return
    sought.close()
    yield from (frame for frame in read_frames(clip, read, on_error) if frame.tick >= tick)


def proven_seek(clip: ClipInfo, read: ReadRequest, tick: int) -> Fraction | None:
    """Return seconds to seek to so that decoding begins at or before a tick; None means from the start.

    A container's seek may land late, in MPEG-TS by a whole group of pictures: the first frame decides.
    """
    if clip.is_counted or clip.restarts:
        return None
    timing = clip.video.timing
    for margin in _MARGINS:
        after = (timing.first + tick) * timing.time_base - clip.start - margin
        if after <= 0:
            return None
        with closing(read_frames(clip, replace(read, after=after), _ignore)) as frames:
            first = next(frames, None)
        if first is not None and first.tick <= tick:
            return after
    return None


def _ignore(message: str) -> None:
    """Ignore an error message: the frames are read again."""


def header_of(plan: VideoPlan, pool: UpscalerPool) -> Header:
    """Return the header of the work on a plan."""
    clip, timeline = plan.clip, plan.timeline
    stat = clip.path.stat()
    engine = pool.upscaler(plan.size.passes[0])
    depth = plan.encode.layout.depth
    between = plan.size.depth_between(depth)
    return Header(
        source=(stat.st_size, stat.st_mtime_ns),
        size=(plan.size.passes, plan.encode.width, plan.encode.height),
        part=(str(timeline), str(plan.mux.offset), str(plan.mux.start), str(plan.mux.duration)),
        decoding=tuple(decode_arguments(clip, plan.read)[:-1]),
        codec=tuple(encode_arguments(Path("segment"), plan.encode)[:-1]),
        segment=plan.segment_slots,
        preview=plan.options.preview,
        model=hashes_of(pool, plan.size.passes),
        device=(engine.device_name.partition(":")[0], engine.precision),
        tile=(pool.options.tile, pool.options.tta),
        streams=tuple(stream.index for stream in plan.mux.streams),
        ffmpeg=ffmpeg.version(),
        threads=plan.threads,
        between=None if between == depth else between,
        kind=plan.chain.first if plan.chain.reason else None,
        strength=plan.chain.strength,
    )


def begin_or_resume(resume_log: ResumeLog, header: Header, restart: bool) -> list[Segment]:
    """Return the finished segments, and write the log for this run.

    Raises: OptionError if they were made from another source or with other options.
    """
    earlier = resume_log.header()
    segments = [] if restart or earlier is None else resume_log.segments()
    if segments and earlier is not None:
        check_header(earlier, header, resume_log.folder)
    resume_log.begin(header, segments)
    return segments


def earlier_threads(folder: Path) -> int | None:
    """Return the encoder threads of unfinished work, because another number would change the bytes."""
    header = ResumeLog(folder).header()
    return header.threads if header and 1 <= header.threads <= MAX_THREADS else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create the folder and lock it while the block runs; the system releases the lock if the program dies.

    Raises: TargetError if another run has locked it, or it cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise TargetError(f"cannot write {folder}: {error.strerror}") from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            raise TargetError(f"another run is working on this clip in {folder}; wait for it to finish") from error
        yield


def remove(folder: Path) -> None:
    """Remove a work folder and everything in it."""
    shutil.rmtree(folder, ignore_errors=True)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
