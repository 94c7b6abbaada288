"""What unfinished work was begun with, and whether a run may go on with it."""

from pathlib import Path
from typing import Any

from esrt_core.media import ffmpeg
from esrt_core.media.clip_reader import decode_arguments
from esrt_core.media.clip_writer import encode_arguments
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.journal import Journal, Segment, check_header
from esrt_core.pipeline.video_plan import VideoPlan


def header_of(plan: VideoPlan, engines: Engines) -> dict[str, Any]:
    """Return everything that the result's bytes depend on, under the names that a user knows."""
    clip, timeline = plan.clip, plan.timeline
    stat = clip.path.stat()
    engine = engines.upscaler(plan.size.passes[0])
    return {
        "source": [stat.st_size, stat.st_mtime_ns],
        "size": [plan.size.passes, plan.encode.final_width, plan.encode.final_height],
        "part": [str(timeline), str(plan.join.offset), str(plan.join.start), str(plan.join.duration)],
        "decoding": decode_arguments(clip, plan.read)[:-1],
        "codec": encode_arguments(Path("segment"), plan.encode)[:-1],
        "segment": plan.segment_slots,
        "preview": plan.options.preview,
        "model": [engines.weights(scale, place).sha256 for place, scale in enumerate(plan.size.passes)],
        "device": [engine.device_name.partition(":")[0], engine.precision],
        "tile": [engines.options.tile, engines.options.tta],
        "streams": [stream.index for stream in plan.join.streams],
        "ffmpeg": ffmpeg.version(),
        "threads": plan.threads,
    }


def begin_or_go_on(journal: Journal, header: dict[str, Any], restart: bool) -> list[Segment]:
    """Return the segments that are finished; raise OptionError where they are of another source or other options."""
    earlier = journal.header()
    segments = [] if restart or earlier is None else journal.segments()
    if segments and earlier is not None:
        check_header(earlier, header, journal.folder)
    journal.begin(header, segments)
    return segments


def earlier_threads(folder: Path) -> int | None:
    """Return the encoder's threads of unfinished work: another number would make other bytes."""
    header = Journal(folder).header()
    threads = header.get("threads") if header else None
    return threads if isinstance(threads, int) else None
