"""Write files safely: check targets before any work, write to a temporary file beside the target, then rename it."""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from esrt_core.errors import EsrtError, TargetError

TEMPORARY_MARK = ".esrt-tmp"
_NAME_LIMIT = 255  # bytes in a file name, on every common file system
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(\..*)?", re.IGNORECASE)
_WINDOWS_CHARACTERS = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would be larger than the file system allows; choose another disk",
    errno.EACCES: "permission denied; choose another folder with -o",
    errno.EPERM: "permission denied; choose another folder with -o",
    errno.EROFS: "the disk is read-only; choose another folder with -o",
    errno.EISDIR: "it is a folder; name a file, or end the path with a slash",
    errno.ENOTDIR: "part of its path is a file, not a folder; choose another path",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one with -o",
    errno.EEXIST: "it already exists; use --overwrite or another name",
    errno.EILSEQ: "the disk cannot hold this name; choose another one with -o",
}


def display_name(path: Path) -> str:
    """Return a path for messages: on one line and printable, even if its name is not UTF-8."""
    return display_text(os.fsencode(path).decode("utf-8", "replace"))


def display_text(text: str) -> str:
    """Return text for messages: on one line, with unprintable characters replaced."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def check_target(target: Path, overwrite: bool, sources: Iterable[Path], may_make_folder: bool = False) -> None:
    """Check before any work that a target can and may be written.

    Raises: TargetError if the target is one of `sources` (also through a link, or on a case-insensitive disk), exists
    and `overwrite` is False, is a folder or a device, has a name that is too long or reserved on Windows, or is in a
    folder that is missing (unless `may_make_folder`) or not writable.
    """
    _check_name(target)
    try:
        present = os.path.lexists(target)
        if present:
            _check_existing(target, overwrite, sources)
        folder = _resolved_link(target).parent
        _check_folder(nearest_existing(folder) if may_make_folder else folder, target)
    except OSError as error:
        raise _as_target_error(error, target) from error


@contextmanager
def atomic_write(target: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` if the block succeeds, else remove it.

    Without `overwrite` an existing file is never replaced, not even one created in the meantime. A symbolic link is
    followed.

    Raises: TargetError if the file system refuses. Errors of the block never name the temporary file, but the target.
    """
    final = _resolved_link(target)
    temporary = _temporary_path(final)
    try:
        try:  # enter before the file exists: a signal may arrive as soon as it does
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            _publish(temporary, final, overwrite)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary), str(final)):
            raise
        raise _as_target_error(error, target) from error
    except EsrtError as error:
        if temporary.name not in str(error):
            raise
        said = str(error).replace(str(temporary), str(target)).replace(temporary.name, target.name)
        raise type(error)(said) from error


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of `folder` or of its nearest existing parent."""
    return shutil.disk_usage(nearest_existing(folder)).free


def nearest_existing(folder: Path) -> Path:
    """Return a folder, or the nearest of its parents that exists."""
    folder = folder.absolute()
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def make_folder(folder: Path, root: Path | None = None) -> None:
    """Create a folder and its missing parents; only those below `root`, if given.

    Raises: TargetError if the file system refuses, or a file has that name.
    """
    try:
        if root is None:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            for each in (*reversed(folder.parents), folder):
                if root in each.parents:
                    each.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise TargetError(f"{display_name(folder)} is a file, not a folder; choose another path") from error
    except OSError as error:
        raise _as_target_error(error, folder) from error


def same_file(first: Path, second: Path) -> bool:
    """Return whether both paths lead to one existing file, also through links or on a case-insensitive disk."""
    try:
        return first.samefile(second)
    except OSError:
        return False


def target_key(target: Path) -> str:
    """Return a key that is equal for two targets if and only if one would overwrite the other."""
    final = _resolved_link(target.absolute())
    folder = Path(os.path.realpath(final.parent))
    name = final.name.casefold() if _is_case_insensitive(folder) else final.name
    return str(folder / name)


def _check_name(target: Path) -> None:
    name = target.name
    if not name or "\0" in str(target):
        raise TargetError(f"{display_name(target)!r} is not a file name; give one with -o")
    if len(os.fsencode(name)) > _NAME_LIMIT:
        shown = f"{display_name(Path(name[:40]))}...{display_name(Path(name[-12:]))}"
        raise TargetError(f"{shown}: the name is longer than {_NAME_LIMIT} bytes; choose a shorter one with -o")
    if _WINDOWS_DEVICES.fullmatch(name) or (os.name == "nt" and _WINDOWS_CHARACTERS.search(name)):
        raise TargetError(f"{display_name(target)}: this name is reserved on Windows; choose another one with -o")


def _check_existing(target: Path, overwrite: bool, sources: Iterable[Path]) -> None:
    for source in sources:
        if same_file(target, source):
            raise TargetError(
                f"{display_name(target)} is the input itself, which is never overwritten; choose another name"
            )
    if target.is_dir():
        raise TargetError(f"{display_name(target)} is a folder; name a file in it, or end the path with a slash")
    if target.exists() and not target.is_file():
        raise TargetError(f"{display_name(target)} is not a regular file; use -o - to write to a pipe")
    if target.exists() and not overwrite:
        raise TargetError(f"{display_name(target)} exists; use --overwrite or another name")


def _check_folder(folder: Path, target: Path) -> None:
    if not folder.exists():
        raise TargetError(f"{display_name(target)}: the folder {display_name(folder)} does not exist; create it first")
    if not folder.is_dir():
        raise TargetError(
            f"{display_name(target)}: {display_name(folder)} is a file, not a folder; choose another path"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TargetError(
            f"{display_name(target)}: no write permission for {display_name(folder)}; choose another folder with -o"
        )


def _resolved_link(target: Path) -> Path:
    """Return the target of a symbolic link, because renaming onto the link itself would replace the link."""
    return Path(os.path.realpath(target)) if target.is_symlink() else target


def _temporary_path(target: Path) -> Path:
    random = secrets.token_hex(6)
    suffix = target.suffix if len(target.suffix) <= 16 else ""
    stem = target.stem
    while stem and len(os.fsencode(f".{stem}.{random}{TEMPORARY_MARK}{suffix}")) > _NAME_LIMIT:
        stem = stem[:-1]
    return target.with_name(f".{stem}.{random}{TEMPORARY_MARK}{suffix}")


def _publish(temporary: Path, final: Path, overwrite: bool) -> None:
    _flush_to_disk(temporary)
    if overwrite:
        if final.exists():
            shutil.copymode(final, temporary)
        temporary.replace(final)
        return
    try:
        os.link(temporary, final)  # fails if the target exists, unlike a rename
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # a disk without hard links: reserve the name first
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        temporary.replace(final)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_case_insensitive(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            names = (entry.name for entry in entries if entry.name.swapcase() != entry.name)
            name = next(names, None)
    except OSError:
        return False
    probe = folder / name if name is not None else folder
    return same_file(probe, probe.with_name(probe.name.swapcase()))


def _as_target_error(error: OSError, target: Path) -> TargetError:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return TargetError(f"{display_name(target)} cannot be written: {reason}")
