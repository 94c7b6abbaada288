"""`esrt train`: fit ESRT to pictures, or train it from scratch."""

import re
from pathlib import Path
from typing import Annotated

import typer

from esrt_cli.params import DeviceOpt, QuietOpt, ThreadsOpt

_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_time(text: str) -> float:
    """Return the seconds of 90s, 30m, 1h or 1h30m."""
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        raise typer.BadParameter(f"{text!r} is not a time; write 90s, 30m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text))


def train(
    sources: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Pictures, or folders of them.")],
    scale: Annotated[int, typer.Option("-s", "--scale", help="2, 3 or 4.")],
    init: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Weights to start from; of another scale, only their body is used.")
    ] = "clean",
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from random weights.")] = False,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Length of the run in steps.")] = None,
    time: Annotated[
        float | None,
        typer.Option(parser=parse_time, metavar="30m", help="Length of the run, interruptions not counted; 30m."),
    ] = None,
    val: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures to validate on; else some are held out.")
    ] = None,
    lr_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Small pictures of the same names; else bicubic makes them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run's folder.")] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Register the result: --model NAME finds it.")
    ] = None,
    degrade: Annotated[str, typer.Option(help="photo: blur, noise and JPEG in the small pictures.")] = "none",
    seed: Annotated[int, typer.Option(help="Decides what is drawn.")] = 0,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Patches a step, over all processes.")] = None,
    patch: Annotated[int | None, typer.Option(metavar="PX", help="Side of the small patches.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    warmup: Annotated[int, typer.Option(metavar="STEPS", help="Steps until the peak is reached.")] = 50,
    optimiser: Annotated[
        str, typer.Option(metavar="NAME", help="adam, muon, or auto: muon from scratch, else adam.")
    ] = "auto",
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled weight decay.")] = None,
    ema: Annotated[float, typer.Option(help="Decay of the averaged weights.")] = 0.998,
    fft: Annotated[float, typer.Option(help="Weight of the frequency-domain term beside L1.")] = 0.0,
    mse_last: Annotated[float, typer.Option(metavar="SHARE", help="Share of the run that ends it with MSE.")] = 0.0,
    validations: Annotated[int, typer.Option(metavar="N", help="Validations over the run.")] = 10,
    device: DeviceOpt = "auto",
    threads: ThreadsOpt = None,
    quiet: QuietOpt = False,
) -> None:
    """Fit ESRT to your pictures and prove the gain; the same command goes on where it stopped.

    Starts from the shipped weights, holds some pictures out to measure on, and trains for 30 minutes.

    \b
    Examples:
      esrt train my-photos -s 4
      esrt train my-photos -s 2 --time 2h --name mine
      esrt train scans -s 3 --init clean --degrade photo --steps 5000 --out runs/scans
      OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m esrt_cli train my-photos -s 2
    """
    from esrt_cli.training import TrainView
    from esrt_core.training.fit import train as run
    from esrt_core.training.options import TrainOptions

    options = TrainOptions(
        sources=tuple(sources),
        scale=scale,
        start=init,
        from_scratch=from_scratch,
        steps=steps,
        seconds=time,
        val=val,
        lr_dir=lr_dir,
        out=out,
        name=name,
        seed=seed,
        device=device,
        threads=threads,
        batch=batch,
        patch=patch,
        lr=lr,
        optimiser=optimiser,
        weight_decay=weight_decay,
        ema=ema,
        warmup=warmup,
        fft_weight=fft,
        mse_last=mse_last,
        degrade=degrade,
        validations=validations,
    )
    with TrainView(quiet) as view:
        result = run(options, view.event, view.progress)
    view.finish(result)
