"""Where a clip's result goes, and where its unfinished work is kept."""

import hashlib
import os
from pathlib import Path

from esrt_core.media.clip import ClipInfo
from esrt_core.pipeline.targets import names_folder
from esrt_core.pipeline.video_options import VideoOptions

_LONG_NAME = 200  # bytes; most file systems take 255


def decide_clip_target(clip: ClipInfo, options: VideoOptions) -> Path:
    """Return where the result goes: beside the clip, into a folder, or where `-o` says."""
    path, output = clip.path, options.output
    if output is not None and not names_folder(output):
        return Path(output)
    folder = path.parent if output is None else Path(output)
    preview = "_preview" if options.preview else ""
    return folder / f"{path.stem}_{options.request.suffix(())}{preview}{path.suffix}"


def work_folder(target: Path) -> Path:
    """Return where the unfinished work for a target is kept; a long name is cut, and told apart by a digest."""
    name = os.fsencode(target.name)
    if len(name) > _LONG_NAME:
        return target.with_name(f".{hashlib.sha256(name).hexdigest()[:32]}.esrt-work")
    return target.with_name(f".{target.name}.esrt-work")
