"""Find the pictures in folders, files and globs without opening any."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Generic, TypeVar

from esrt_core.errors import OptionError
from esrt_core.files import TEMPORARY_MARK, display_name, same_file
from esrt_core.media.extensions import RAW_EXTENSIONS
from esrt_core.media.image.formats import format_for_path
from esrt_core.pipeline.batch.manifest import FOLDER, LOCK_NAME, NAME, Manifest, recorded_targets

# Why a file is skipped. The texts are keys of the JSON summary as well.
HIDDEN, NO_PICTURE, RAW = "hidden", "no picture", "camera RAW"
SKIPPED_SHEET = "comparison sheet"
OWN, EXCLUDED, LINK = "own result", "left out by --include or --exclude", "link that leads nowhere new"
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini"})
Picture = TypeVar("Picture")


@dataclass(frozen=True)
class Found:
    """Hold a picture's file, the root folder of its result, and its path relative to that root.

    `alongside` is true if the result goes beside the picture, where it needs a new name.
    """

    source: Path
    root: Path
    relative_path: PurePath
    alongside: bool = False


@dataclass
class Findings(Generic[Picture]):
    """Collect pictures, counts of skipped files by reason, and (folder, reason) of unreadable folders."""

    pictures: list[Picture] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Filter:
    """Match globs against a relative path or its file name."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def includes(self, relative_path: PurePath) -> bool:
        """Return whether a picture is to be upscaled."""
        return not self.excludes(relative_path) and (not self.include or _matches(relative_path, self.include))

    def excludes(self, relative_path: PurePath) -> bool:
        """Return whether a picture or a whole folder is excluded."""
        return _matches(relative_path, self.exclude)


def find_sources(inputs: Iterable[str], output: Path | None, suffix: str, filter_: Filter) -> Findings[Found]:
    """Return the pictures of all inputs, sorted by path.

    `output` is the root folder of all results. Without it, the results of a folder go to a sibling folder whose name
    ends in `suffix`, and those of single files beside them.

    Raises: OptionError if an input does not exist.
    """
    paths = [path for each in inputs for path in _expanded(each)]
    folders = [path for path in paths if path.is_dir()]
    findings: Findings[Found] = Findings()
    walk = _Walk(findings, filter_, output)
    for folder in folders:
        root = output or alongside(folder, suffix)
        if same_file(folder, root) and output is not None:
            walk.enter_results_of(folder)
        relative_path = PurePath(folder.absolute().name) if output is not None and len(folders) > 1 else PurePath()
        walk.folder(folder, root, relative_path)
    for path in paths:
        if not path.is_dir():
            walk.enter_results_of(path.parent)
            walk.file(path, Found(path, output or path.parent, PurePath(path.name), alongside=output is None))
    findings.pictures.sort(key=lambda found: os.fsencode(found.source))
    return findings


class _Walk:
    """Walk folders, visiting every folder and file once even if several links lead to it."""

    def __init__(self, findings: Findings[Found], filter_: Filter, output: Path | None) -> None:
        self._findings = findings
        self._filter = filter_
        self._output = output
        self._folders: set[tuple[int, int]] = set()
        self._files: set[tuple[int, int]] = set()
        self._results: set[str] = set()  # real paths of results of this program

    def folder(self, top: Path, root: Path, relative_path: PurePath) -> None:
        """Walk a tree: first what really lies in it, then the targets of its links."""
        self._enter_results_in(top)
        waiting: list[tuple[Path, PurePath]] = [(top, relative_path)]
        links: list[tuple[Path, PurePath]] = []
        file_links: list[tuple[Path, PurePath]] = []
        while waiting or links:
            folder, parent = waiting.pop() if waiting else links.pop()
            if not self._is_new_folder(folder, top):
                continue
            for entry in self._entries(folder):
                path, under = folder / entry.name, parent / entry.name
                is_folder = _is_folder(entry)
                if self._is_skipped(path, under, is_folder):
                    continue
                if is_folder:
                    (links if entry.is_symlink() else waiting).append((path, under))
                elif entry.is_symlink():
                    file_links.append((path, under))
                else:
                    self.file(path, Found(path, root, under))
        for path, under in sorted(file_links):
            self.file(path, Found(path, root, under))

    def file(self, path: Path, found: Found) -> None:
        """Add one file, or count why it is skipped."""
        reason = self._reason(path, found.relative_path)
        if reason is None:
            self._findings.pictures.append(found)
        else:
            self._findings.skipped[reason] += 1

    def enter_results_of(self, folder: Path) -> None:
        """Remember what this program has written into a folder."""
        targets = (*Manifest(folder).targets, *recorded_targets(folder))
        self._results.update(os.path.realpath(folder / target) for target in targets)

    def _enter_results_in(self, top: Path) -> None:
        """Remember the results of pictures in `top` itself; results of other folders may be upscaled further."""
        for target, source in Manifest(top).targets.items():
            if not source.startswith(".."):
                self._results.add(os.path.realpath(top / target))
        for target, source in recorded_targets(top).items():
            if Path(source).is_relative_to(top.absolute()):
                self._results.add(os.path.realpath(top / target))

    def _is_new_folder(self, folder: Path, top: Path) -> bool:
        """Return whether a folder has not been visited yet and is not the output folder."""
        try:
            status = folder.stat()
        except OSError as error:
            self._findings.unreadable.append((folder, error.strerror or str(error)))
            return False
        known = (status.st_dev, status.st_ino) in self._folders
        self._folders.add((status.st_dev, status.st_ino))
        if folder != top:
            if self._output is not None and same_file(folder, self._output):
                return False
            self.enter_results_of(folder)
        return not known

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            self._findings.unreadable.append((folder, error.strerror or str(error)))
            return []

    def _is_skipped(self, path: Path, relative_path: PurePath, is_folder: bool) -> bool:
        """Return whether an entry is ours, hidden or an excluded folder; count it unless it is ours."""
        if path.name in (NAME, LOCK_NAME, FOLDER) or (path.name.startswith(".") and TEMPORARY_MARK in path.name):
            return True
        if path.name.startswith("."):
            self._findings.skipped[HIDDEN] += 1
            return True
        if is_folder and self._filter.excludes(relative_path):
            self._findings.skipped[EXCLUDED] += 1
            return True
        return False

    def _reason(self, path: Path, relative_path: PurePath) -> str | None:
        """Return why a file is skipped, or None."""
        reason = reason_by_name(relative_path, self._filter)
        if reason is not None:
            return reason
        if os.path.realpath(path) in self._results:
            return OWN
        return self._file_reason(path)

    def _file_reason(self, path: Path) -> str | None:
        """Return why a path is skipped by what it is: not a file, or a link to a file that was found already."""
        try:
            status = path.stat()
        except OSError:
            return LINK if path.is_symlink() else None  # an unreadable file is reported when it is opened
        key = (status.st_dev, status.st_ino)
        if path.is_symlink() and key in self._files:
            return LINK
        self._files.add(key)
        return None if path.is_file() else NO_PICTURE


def reason_by_name(relative_path: PurePath, filter_: Filter) -> str | None:
    """Return why a file is skipped by its path alone, or None if it may be a picture."""
    name = Path(relative_path.name)
    if name.name.startswith(".") or name.name.lower() in _SYSTEM_NAMES:
        return HIDDEN
    if not filter_.includes(relative_path):
        return EXCLUDED
    if format_for_path(name) is not None:
        return None
    return RAW if name.suffix.lower() in RAW_EXTENSIONS else NO_PICTURE


def _expanded(name: str) -> Iterator[Path]:
    """Yield the path that an input names, or the paths that its glob matches.

    Raises: OptionError if there are none.
    """
    if os.path.lexists(name):
        yield Path(name)
        return
    matches = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else []  # noqa: PTH207 (keeps "a/../b")
    if not matches:
        if "://" in name:
            raise OptionError(f"{name} is a remote address; use --ray local to process it on this machine")
        what = "matches nothing" if glob.has_magic(name) else "does not exist"
        raise OptionError(f"{display_name(Path(name))} {what}; check the path")
    yield from map(Path, matches)


def alongside(folder: Path, suffix: str) -> Path:
    """Return the default folder for the results of `folder`: its sibling with `suffix`."""
    named = folder if folder.name not in ("", "..") else Path(os.path.abspath(folder))  # noqa: PTH100 (keeps links)
    if not named.name:
        raise OptionError(f"{folder} cannot have a sibling folder; name one with -o")
    return named.with_name(f"{named.name}_{suffix}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _matches(relative_path: PurePath, patterns: Iterable[str]) -> bool:
    return any(
        fnmatchcase(text, pattern) for pattern in patterns for text in (relative_path.as_posix(), relative_path.name)
    )
