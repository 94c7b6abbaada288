"""Comic archives (CBZ, which is zip): check them, read their pages, and write the archive of the results.

An archive comes from anywhere: what it says about itself is checked before anything is unpacked, and nothing is ever
unpacked under a name that it gives. Pages are upscaled like other pictures into a work folder beside the target, under
numbers, until the archive of the results is complete.
"""

import io
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from esrt_core.errors import MediaError, OptionError
from esrt_core.files import atomic_write, display_text
from esrt_core.media.image.picture import RemoteFile

EXTENSION = ".cbz"
WORK = ".esrt-work"  # at the end of the name of a work folder
_OTHERS = {
    ".cbr": "is a CBR (RAR) archive, which esrt does not read; unpack it, zip its pages as a .cbz, and give that",
    ".cb7": "is a CB7 (7-Zip) archive, which esrt does not read; unpack it, zip its pages as a .cbz, and give that",
    ".cbt": "is a CBT (tar) archive, which esrt does not read; unpack it, zip its pages as a .cbz, and give that",
    ".pdf": "is a PDF, which esrt does not read; save its pages as pictures first (pdfimages -all, or pdftoppm -png)",
}
OTHER_ARCHIVES = frozenset(_OTHERS) - {".pdf"}
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_ENTRIES = 20_000
_MOST_GROWTH = 100  # times the archive's own bytes; pictures hardly shrink when they are zipped
_SMALL = 64 * 2**20  # bytes that every archive may unpack to
_PIXEL_BYTES = 8  # of an uncompressed page of four channels and 16 bits
_LOCAL_HEADER = 30  # bytes before an entry's name, which its content follows
_UTF8_NAME = 0x800  # flag of an entry
_MAC = "__MACOSX"  # folder of what macOS keeps beside the files


def is_book(name: str) -> bool:
    """Return whether a name is that of a comic archive that can be read."""
    return PurePosixPath(name).suffix.lower() == EXTENSION


def check_readable(name: str) -> None:
    """Raise OptionError if an input is an archive or a document that cannot be read."""
    problem = _OTHERS.get(PurePosixPath(name).suffix.lower())
    if problem is not None:
        raise OptionError(f"{display_text(name)} {problem}")


@dataclass(frozen=True)
class Entry:
    """Hold one entry of an archive: its name, its bytes when unpacked, its CRC-32, and what else is kept of it.

    system  that gives the attributes their meaning, as zip numbers them: 0 is DOS, 3 is Unix.
    utf8    its name is said to be UTF-8; otherwise its bytes are in an encoding that only its reader may know.
    """

    name: str
    size: int
    crc: int
    date: tuple[int, int, int, int, int, int]
    attributes: int
    compression: int
    comment: bytes
    system: int
    utf8: bool

    @property
    def path(self) -> PurePosixPath:
        """Its name as a path, also if it was made with backslashes."""
        return PurePosixPath(self.name.replace("\\", "/"))

    @property
    def may_be_page(self) -> bool:
        """Whether it may be a page: not a folder, nor what a system has put beside the pages."""
        folders = self.path.parts[:-1]
        hidden = any(part == _MAC or (part.startswith(".") and part != ".") for part in folders)
        return not (self.name.endswith(("/", "\\")) or hidden)


@dataclass(frozen=True)
class Contents:
    """Hold the entries of an archive in order, and its comment."""

    entries: tuple[Entry, ...]
    comment: bytes


def read_contents(path: Path, max_pixels: int) -> Contents:
    """Return what is in an archive, by its directory alone.

    Raises: MediaError, in one sentence, if it is damaged or encrypted, or if it could do harm: with links, names that
    lead elsewhere or come twice, entries that share bytes, or far more content than its size or `max_pixels` allow.
    """
    name = display_text(str(path))
    with _archive(path, name) as archive:
        infos, comment = archive.infolist(), archive.comment
    if len(infos) > _MOST_ENTRIES:
        raise MediaError(f"{name} has {len(infos):,} entries, more than the {_MOST_ENTRIES:,} allowed; split it")
    most = max_pixels * _PIXEL_BYTES + 2**20
    for info in infos:
        problem = _problem(info, most)
        if problem is not None:
            raise MediaError(f"{name}: {display_text(info.filename[:80])} {problem}")
    twice = [entry for entry, count in Counter(info.filename for info in infos).items() if count > 1]
    if twice:
        raise MediaError(f"{name} has two entries named {display_text(twice[0][:80])}; repack it")
    if _overlap(infos):
        raise MediaError(f"{name} has entries that overlap, as a zip bomb has; it is refused")
    total = sum(info.file_size for info in infos)
    if total > _MOST_GROWTH * path.stat().st_size + _SMALL:
        raise MediaError(f"{name} would unpack to {total:,} bytes, over {_MOST_GROWTH} times its size; it is refused")
    return Contents(tuple(map(_entry, infos)), comment)


def _entry(info: zipfile.ZipInfo) -> Entry:
    kept = (info.date_time, info.external_attr, info.compress_type, info.comment, info.create_system)
    return Entry(info.filename, info.file_size, info.CRC, *kept, bool(info.flag_bits & _UTF8_NAME))


def _problem(info: zipfile.ZipInfo, most: int) -> str | None:
    """Return why an entry is refused, or None."""
    parts = info.filename.replace("\\", "/").split("/")
    if not parts[0] or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":"):
        return "leads out of the archive; it is refused"
    if info.flag_bits & 1:
        return "is encrypted; give a copy without a password"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link; repack the archive with the file itself"
    if info.compress_type not in _COMPRESSIONS:
        return "is compressed in an unusual way; repack the archive as an ordinary zip"
    if info.file_size > most:
        return f"would unpack to {info.file_size:,} bytes, more than --max-pixels allows"
    return None


def _overlap(infos: Sequence[zipfile.ZipInfo]) -> bool:
    """Return whether an entry begins before the content of the one before it ends."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    return any(
        before.header_offset + _LOCAL_HEADER + before.compress_size > after.header_offset
        for before, after in pairwise(ordered)
    )


def page(path: Path, entry: Entry) -> RemoteFile:
    """Return a page of an archive as a picture."""
    return RemoteFile(f"{path}/{entry.name}", partial(_open, path, entry))


def _open(path: Path, entry: Entry) -> BinaryIO:
    return io.BytesIO(_read(path, entry))


def _read(path: Path, entry: Entry) -> bytes:
    name = display_text(f"{path}/{entry.name}")
    with _archive(path, name) as archive, archive.open(entry.name) as file:
        content = file.read(entry.size + 1)
    if len(content) != entry.size:
        raise MediaError(f"{name} is damaged: it has {len(content):,} bytes, not {entry.size:,}; get an intact copy")
    return content


@contextmanager
def _archive(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive to read from it alone; turn what zip's reader raises into a MediaError of one line."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError) as error:
        why = " ".join(str(error).split())[:120]
        raise MediaError(f"{name} is not a zip archive or is damaged ({why}); get an intact copy") from error
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror or 'damaged'}; get an intact copy") from error


def result_names(contents: Contents, suffixes: Mapping[str, str]) -> dict[str, str]:
    """Return the name of every entry among the results: its own, with the suffix of its result if that is another.

    Raises: OptionError if two would have the same.
    """
    names = {}
    for entry in contents.entries:
        suffix = suffixes.get(entry.name)
        names[entry.name] = entry.name.removesuffix(entry.path.suffix) + suffix if suffix else entry.name
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise OptionError(f"two of its pages would be named {display_text(twice[0])}; use another --format")
    return names


def pack(
    source: Path,
    contents: Contents,
    pages: Mapping[str, Path],
    target: Path,
    overwrite: bool,
    before_publish: Callable[[Path], None] = lambda complete: None,
) -> None:
    """Write the archive of the results: every page from its file, everything else as it is in the source, in order.

    `before_publish` is called with the complete temporary file before it gets its name.

    Raises: MediaError if the source is damaged, TargetError if the file system refuses.
    """
    names = result_names(contents, {name: path.suffix for name, path in pages.items()})
    with atomic_write(target, overwrite) as temporary:
        with zipfile.ZipFile(temporary, "w") as packed:
            packed.comment = contents.comment
            for entry in contents.entries:
                result = pages.get(entry.name)
                info = (zipfile.ZipInfo if entry.utf8 else _BareName)(names[entry.name], entry.date)
                info.create_system, info.external_attr, info.comment = entry.system, entry.attributes, entry.comment
                info.compress_type = entry.compression if result is None else zipfile.ZIP_STORED
                if result is None:
                    packed.writestr(info, b"" if info.is_dir() else _read(source, entry))
                    continue
                info.file_size = result.stat().st_size  # for zip64 where it is needed
                with packed.open(info, "w") as file, result.open("rb") as page_file:
                    shutil.copyfileobj(page_file, file)
        before_publish(temporary)


class _BareName(zipfile.ZipInfo):
    """An entry whose name is written as it was read: its reader may know an encoding that zip does not name."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 (zipfile's name)
        try:
            return self.filename.encode("cp437"), self.flag_bits  # as zipfile decodes it
        except UnicodeEncodeError:
            return self.filename.encode(), self.flag_bits | _UTF8_NAME
