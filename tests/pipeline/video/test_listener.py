"""One call for clips and folders of them: what its listener hears."""

from fractions import Fraction
from pathlib import Path

import pytest

from esrt_core.errors import EsrtError, OptionError
from esrt_core.pipeline.video import run as run_module
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.plan import VideoPlan
from esrt_core.pipeline.video.run import ClipResult, upscale_clips
from esrt_core.progress import Progress
from tests.pipeline.clips import Repeaters, make, picture, x264

HALF = Fraction(1, 2)


class Log:
    """Listen, and remember everything in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def planned(self, plan: VideoPlan, seconds: float | None) -> None:
        self.heard.append(f"planned {plan.clip.path.name} {seconds}")

    def progress(self, report: Progress) -> None:
        if report.done == report.total:
            self.heard.append(f"progress {report.done}")

    def done(self, result: ClipResult) -> None:
        self.heard.append(f"done {Path(result.target).name}" + f" on {result.device}" * (result.device != "auto"))

    def failed(self, path: Path, error: EsrtError) -> None:
        self.heard.append(f"failed {path.name}: {error}")

    def stopped(self, frames: int) -> None:
        self.heard.append(f"stopped {frames}")

    def note(self, text: str) -> None:
        self.heard.append(f"note {text}")


class NotedRepeaters(Repeaters):
    """Stand for a pool with a note about its weights."""

    notes = ("the weights are old",)


def listen(
    monkeypatch: pytest.MonkeyPatch, inputs: list[str], options: VideoOptions, stop_at: int = 0, dry_run: bool = False
) -> list[str]:
    log = Log()
    monkeypatch.setattr(run_module, "UpscalerPool", lambda model, engine: NotedRepeaters(stop_at, engine.device))
    try:
        upscale_clips(inputs, options, log, dry_run=dry_run)
    except KeyboardInterrupt:
        log.heard.append("interrupted")
    return log.heard[1:] if log.heard[:1] == ["note the weights are old"] else log.heard


@pytest.mark.slow
def test_every_clip_is_planned_upscaled_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.mp4", "c.mkv"):
        make(tmp_path / name, *picture(seconds=0.12), *x264())
    (tmp_path / "b.mp4").write_bytes(b"no clip")
    planned = listen(monkeypatch, [str(tmp_path)], VideoOptions(), dry_run=True)
    assert [line.split(":")[0] for line in planned] == ["planned a.mp4 None", "failed b.mp4", "planned c.mkv None"]
    heard = listen(monkeypatch, [str(tmp_path)], VideoOptions())
    assert [line.split(":")[0] for line in heard] == [
        "planned a.mp4 None", "progress 3", "done a_x2.mp4", "failed b.mp4", "planned c.mkv None", "progress 3",
        "done c_x2.mkv",
    ]  # fmt: skip
    again = listen(monkeypatch, [str(tmp_path)], VideoOptions())
    assert [line.split(" ")[0] for line in again] == ["note", "failed", "note"]
    assert "skipped" in again[0]


@pytest.mark.slow
def test_a_signal_tells_how_many_frames_a_later_run_can_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=1.6, extra=",noise=alls=60:allf=t"), *x264())
    options = VideoOptions(segment=HALF)
    assert listen(monkeypatch, [str(path)], options, stop_at=3)[1:] == ["stopped 0", "interrupted"]
    first = listen(monkeypatch, [str(path)], options, stop_at=20)
    assert first[1:] == ["stopped 12", "interrupted"]
    assert listen(monkeypatch, [str(path)], options, stop_at=2)[1:] == ["stopped 12", "interrupted"]  # none of its own
    assert listen(monkeypatch, [str(path)], options)[1:] == ["progress 40", "done a_x2.mkv"]


def test_what_concerns_all_clips_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="contains no clips"):
        listen(monkeypatch, [str(tmp_path)], VideoOptions())


def test_every_device_that_is_named_makes_a_part_of_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=0.12), *x264())
    heard = listen(monkeypatch, [str(path)], VideoOptions(devices=("cuda:1", "cuda:0")))
    assert heard[-1] == "done a_x2.mp4 on cuda:1, cuda:0"
