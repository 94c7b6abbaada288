"""The pictures that folders, files and globs mean, found without opening any."""

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

HIDDEN, NO_PICTURE, RAW = "hidden", "no picture", "camera RAW"
OWN, EXCLUDED, LINK = "own result", "left out by --include or --exclude", "link that leads nowhere new"
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini"})

Picture = TypeVar("Picture")


@dataclass(frozen=True)
class Found:
    """Hold one picture's file, the folder its results go under, and its path below that folder (without a new name).

    `alongside` says that the result goes beside the picture, where it needs a name of its own.
    """

    source: Path
    root: Path
    relative_path: PurePath
    alongside: bool = False


@dataclass
class Findings(Generic[Picture]):
    """Collect the pictures, the files passed over by reason, and the folders that could not be read."""

    pictures: list[Picture] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Filter:
    """Decide by globs over a path below its folder, or over the bare name."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def includes(self, relative_path: PurePath) -> bool:
        """Tell whether a picture is wanted."""
        return not self.excludes(relative_path) and (not self.include or _matches(relative_path, self.include))

    def excludes(self, relative_path: PurePath) -> bool:
        """Tell whether a picture, or a whole folder, is unwanted."""
        return _matches(relative_path, self.exclude)


def find_sources(inputs: Iterable[str], output: Path | None, suffix: str, wanted: Filter) -> Findings[Found]:
    """Return the pictures of all inputs, in order.

    `output` is the folder of all results; without it a folder's go to one beside it whose name ends in `suffix`, and
    single files' beside themselves. Raise OptionError for an input that is not there.
    """
    paths = [path for each in inputs for path in _expanded(each)]
    folders = [path for path in paths if path.is_dir()]
    findings: Findings[Found] = Findings()
    walk = _Walk(findings, wanted, output)
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
    """Go through folders; every folder and every file is taken once, whatever links lead to it."""

    def __init__(self, findings: Findings[Found], wanted: Filter, output: Path | None) -> None:
        self._findings = findings
        self._wanted = wanted
        self._output = output
        self._folders: set[tuple[int, int]] = set()
        self._files: set[tuple[int, int]] = set()
        self._results: set[str] = set()  # real paths of what this program wrote

    def folder(self, top: Path, root: Path, relative_path: PurePath) -> None:
        """Take a tree: what really lies in it first, then what links in it lead to."""
        self._enter_results_in(top)
        waiting: list[tuple[Path, PurePath]] = [(top, relative_path)]
        links: list[tuple[Path, PurePath]] = []
        file_links: list[tuple[Path, PurePath]] = []
        while waiting or links:
            folder, place = waiting.pop() if waiting else links.pop()
            if not self._enters(folder, top):
                continue
            for entry in self._entries(folder):
                path, under = folder / entry.name, place / entry.name
                is_folder = _is_folder(entry)
                if self._passes_over(path, under, is_folder):
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
        """Take one file, or count why it is passed over."""
        reason = self._reason(path, found.relative_path)
        if reason is None:
            self._findings.pictures.append(found)
        else:
            self._findings.skipped[reason] += 1

    def enter_results_of(self, folder: Path) -> None:
        """Learn what this program has written into a folder."""
        targets = (*Manifest(folder).targets, *recorded_targets(folder))
        self._results.update(os.path.realpath(folder / target) for target in targets)

    def _enter_results_in(self, top: Path) -> None:
        """Learn what this program has written beside pictures in `top`; as results of other folders they may go in."""
        for target, source in Manifest(top).targets.items():
            if not source.startswith(".."):
                self._results.add(os.path.realpath(top / target))
        for target, source in recorded_targets(top).items():
            if Path(source).is_relative_to(top.absolute()):
                self._results.add(os.path.realpath(top / target))

    def _enters(self, folder: Path, top: Path) -> bool:
        """Tell whether a folder is new and no folder of results."""
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

    def _passes_over(self, path: Path, relative_path: PurePath, is_folder: bool) -> bool:
        """Count what is left out whatever it holds: hidden files and folders, and folders that --exclude names."""
        if path.name in (NAME, LOCK_NAME, FOLDER) or (path.name.startswith(".") and TEMPORARY_MARK in path.name):
            return True
        if path.name.startswith("."):
            self._findings.skipped[HIDDEN] += 1
            return True
        if is_folder and self._wanted.excludes(relative_path):
            self._findings.skipped[EXCLUDED] += 1
            return True
        return False

    def _reason(self, path: Path, relative_path: PurePath) -> str | None:
        """Return why a file is passed over, or None."""
        reason = reason_by_name(relative_path, self._wanted)
        if reason is not None:
            return reason
        if os.path.realpath(path) in self._results:
            return OWN
        return self._seen(path)

    def _seen(self, path: Path) -> str | None:
        """Return why a path is passed over as a file: it is none, or a link to one that is taken already."""
        try:
            status = path.stat()
        except OSError:
            return LINK if path.is_symlink() else None  # a file that cannot be looked at is reported when it is opened
        key = (status.st_dev, status.st_ino)
        if path.is_symlink() and key in self._files:
            return LINK
        self._files.add(key)
        return None if path.is_file() else NO_PICTURE


def reason_by_name(relative_path: PurePath, wanted: Filter) -> str | None:
    """Return why a file is passed over by its name and where it lies, or None where it may be a picture."""
    name = Path(relative_path.name)
    if name.name.startswith(".") or name.name.lower() in _SYSTEM_NAMES:
        return HIDDEN
    if not wanted.includes(relative_path):
        return EXCLUDED
    if format_for_path(name) is not None:
        return None
    return RAW if name.suffix.lower() in RAW_EXTENSIONS else NO_PICTURE


def _expanded(name: str) -> Iterator[Path]:
    """Yield what one input names: itself, or what its glob matches."""
    if os.path.lexists(name):
        yield Path(name)
        return
    matches = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else []  # noqa: PTH207 (keeps "a/../b")
    if not matches:
        if "://" in name:
            raise OptionError(f"{name} is an address; give --ray local to work on it with this machine")
        what = "matches nothing" if glob.has_magic(name) else "does not exist"
        raise OptionError(f"{display_name(Path(name))} {what}; check the path")
    yield from map(Path, matches)


def alongside(folder: Path, suffix: str) -> Path:
    """Return where a folder's results go by default."""
    named = folder if folder.name not in ("", "..") else Path(os.path.abspath(folder))  # noqa: PTH100 (keeps links)
    if not named.name:
        raise OptionError(f"{folder} has no folder beside it; name one with -o")
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
