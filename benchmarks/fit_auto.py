"""Fit the network of `--model auto` to tables of benchmarks.kinds: python -m benchmarks.fit_auto CACHE ...

Writes esrt_core/evaluation/prediction.safetensors: a network that says of every block of a picture how large the error
of the clean weights is and how many times as large that of the others. Every row of the table is shown in up to three
forms: the file itself, its pixels kept as PNG, and those cropped so that an 8 x 8 grid is shifted. With --left-out the
pictures of a fifth of the photographers' pictures and of the drawings are left out, and the regret on them is printed.
With --start an earlier network is trained further, at a lower --rate, and with --keep the mean of both is written.
With --add some dB are added to what it expects of each kind, for weights that got better since (alone: --steps 0).
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import pad, relu, smooth_l1_loss

from benchmarks.kinds import BLOCK, SIDE, Row, Table, load_table
from esrt_core.evaluation.damage import Look, look, luma_of
from esrt_core.evaluation.prediction import (
    CODECS,
    CONSTANTS,
    ENERGY_FLOOR,
    ENERGY_MEAN,
    ENERGY_SPREAD,
    GRAY,
    INPUTS,
    KINDS,
    LIMIT,
    VARIANCE_FLOOR,
    Container,
    inputs_of,
)
from esrt_core.media.frame import Frame

FORMS = ("file", "png", "cropped")
BATCH, RATE, DECAY, CLIP = 24, 3e-3, 0.02, 1.0
WIDTHS = 16, 32, 64  # channels of edges, of cells of 4 x 4 px and of blocks of 8 x 8 px
BLOCKS = SIDE // BLOCK - 1  # a side of what is shown: a picture less up to one block
UNDAMAGED = 0.06  # share of undamaged pictures in what is shown, however few damages were measured
LARGEST = 2.0  # dB; larger gains need no exact prediction
FLOOR = 0.05  # squared levels, added to the errors of a block
SOFTNESS = 0.15  # dB, of the choice when its regret is learned
JITTER = 0.05  # of the standardized inputs
FOLDS = 5
PROGRAM_NAMES = {"heif": "heic"}  # of formats: Pillow's and ours

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Example:
    """Hold one form of a row: Y (H, W), what the network is told, and errors (kinds, blocks, blocks) with their area.

    The area of a block is in px of the result; both lie on the grid of what is shown.
    """

    row: Row
    form: str
    luma: Values
    inputs: Values
    errors: Values
    area: Values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("caches", type=Path, nargs="*")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--left-out", type=int, choices=range(FOLDS), help="fit to the others and print the regret")
    parser.add_argument("--start", type=Path, help="earlier network, to be trained further")
    parser.add_argument("--keep", type=float, default=0.0, help="share of that network's parameters in the result's")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument(
        "--add", type=float, nargs=len(KINDS), default=[0.0] * len(KINDS), help=f"dB for each of {KINDS}"
    )
    parser.add_argument("--output", type=Path, default=CONSTANTS)
    options = parser.parse_args()
    if (options.keep or not options.steps) and not options.start:
        parser.error("--keep and --steps 0 need --start: which network?")
    if (options.steps or options.left_out is not None) and not options.caches:
        parser.error("caches are needed, but for --steps 0")
    torch.set_num_threads(1)
    tables = (load_table(cache, "fit", ("clean", *KINDS)) for cache in options.caches)
    examples = [example for table in tables for example in examples_of(table)]
    folds = folds_of([each.row for each in examples])
    fitted = [each for each, fold in zip(examples, folds, strict=True) if fold != options.left_out]
    print(f"{len(fitted)} examples of {len({each.row.picture for each in fitted})} pictures", flush=True)
    start = loaded(options.start) if options.start else None
    network = start if start and not options.steps else train(fitted, options.steps, options.seed, options.rate, start)
    if options.keep:
        network = mean_of(loaded(options.start), network, options.keep)
    add_gains(network, options.add)
    if options.left_out is None:
        save_file(network.constants(), options.output)
    else:
        print(report([each for each, fold in zip(examples, folds, strict=True) if fold == options.left_out], network))


def folds_of(rows: Sequence[Row]) -> list[int]:
    """Return the fold of every row; the parts of one photo, which share their name's first number, have the same."""
    names = [row.picture if row.drawing else row.picture.split("_")[0] for row in rows]
    order = sorted(set(names))
    np.random.default_rng(0).shuffle(order)
    return [order.index(name) % FOLDS for name in names]


def examples_of(table: Table) -> Iterator[Example]:
    """Yield the forms in which the rows can be met of which the clean and the photo weights were measured.

    Rows with hardly any error, of flat pictures, tell nothing and are left out.
    """
    for row, lr, errors in zip(table.rows, table.lr, table.errors, strict=True):
        if (errors[:2].sum((1, 2)) > FLOOR * area_of(row.scale).sum()).all():  # NaN is not larger
            yield from forms_of(row, lr, errors)


def forms_of(row: Row, lr: NDArray[np.uint8], errors: Values) -> Iterator[Example]:
    """Yield the forms of a row. Margins of one color, which `look` cuts, are shown like everything else."""
    area, side = area_of(row.scale), BLOCKS * BLOCK
    for form, seen, container in seen_forms(row, lr):
        told = inputs_of(seen, container, row.scale)
        if form == "cropped":
            part = cropped(row, lr)[:side, :side]
            yield Example(row, form, luma_of(part), told, moved(errors, row.crop), moved(area, row.crop))
        else:
            yield Example(row, form, luma_of(lr), told, errors, area)


def seen_forms(row: Row, lr: NDArray[np.uint8]) -> Iterator[tuple[str, Look, Container]]:
    """Yield the forms in which a row can be met: what is seen, and what the container says."""
    whole, container = look([Frame((lr,))]), container_of(row)
    yield "file", whole, container
    if container != Container():
        yield "png", whole, Container()
    yield "cropped", look([Frame((cropped(row, lr),))]), Container()


def cropped(row: Row, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = row.crop
    return np.ascontiguousarray(lr[top:, left:])


def area_of(scale: int) -> Values:
    """Return how many px of the result each block's error is the sum of: a border of `scale` px is not measured."""
    side = np.full(SIDE // BLOCK, BLOCK * scale, np.float32)
    side[[0, -1]] -= scale
    return np.outer(side, side)


def moved(blocks: Values, crop: tuple[int, int]) -> Values:
    """Return sums over blocks (..., N, N) as sums over blocks that begin `crop` px later, (..., N - 1, N - 1)."""
    down, right = (length / BLOCK for length in crop)
    rows = (1 - down) * blocks[..., :-1, :] + down * blocks[..., 1:, :]
    return np.asarray((1 - right) * rows[..., :-1] + right * rows[..., 1:], np.float32)


def container_of(row: Row) -> Container:
    codec = PROGRAM_NAMES.get(row.container, row.container)
    return Container(codec, row.bits) if codec in CODECS else Container(quality=row.quality)


class Network(nn.Module):
    """The network of evaluation.prediction, to be trained."""

    def __init__(self, mean: Values, deviation: Values) -> None:
        super().__init__()
        edges, cells, blocks = WIDTHS
        self.mean, self.deviation = (nn.Buffer(torch.from_numpy(each)) for each in (mean, deviation))
        self.edges = nn.Conv2d(1, edges, 5, bias=False)
        self.cells, self.mixed = nn.Conv2d(edges, cells, 4, stride=4), nn.Conv2d(cells, cells, 3)
        self.blocks, self.wide = nn.Conv2d(cells, blocks, 2, stride=2), nn.Conv2d(blocks, blocks, 3)
        self.picture, self.modulation = nn.Linear(len(INPUTS) + 2 * blocks, blocks), nn.Linear(blocks, 2 * blocks)
        self.final, self.output = nn.Linear(blocks, blocks), nn.Linear(blocks, 1 + len(KINDS))
        with torch.no_grad():
            filters = torch.randn_like(self.edges.weight)
            filters -= filters.mean((2, 3), keepdim=True)
            self.edges.weight.copy_(filters / filters.norm(dim=(2, 3), keepdim=True))
            self.modulation.weight.mul_(0.1)
            self.modulation.bias.zero_()
            self.output.weight[1:].mul_(0.1)
            self.output.bias.zero_()

    def forward(self, luma: Tensor, inputs: Tensor) -> Tensor:
        """Return the logarithms of errors and of their shares, (B, 1 + kinds, h, w), for Y (B, H, W)."""
        edges = self.edges(pad(luma[:, None] - GRAY, (2, 2, 2, 2), mode="reflect"))
        energies = (torch.log(edges * edges + ENERGY_FLOOR) - ENERGY_MEAN) / ENERGY_SPREAD
        cells = relu(self.cells(energies))
        cells = relu(cells + self.mixed(pad(cells, (1, 1, 1, 1), mode="replicate")))
        blocks = relu(self.blocks(cells))
        blocks = relu(blocks + self.wide(pad(blocks, (1, 1, 1, 1), mode="replicate")))
        spread = (blocks.var((2, 3), correction=0) + VARIANCE_FLOOR).sqrt()
        hidden = relu(self.picture(torch.cat([inputs, blocks.mean((2, 3)), spread], 1)))
        factor, offset = self.modulation(hidden)[:, None, None].chunk(2, -1)
        final = relu(self.final(blocks.movedim(1, -1)) * (1 + factor) + offset)
        found: Tensor = self.output(final).movedim(-1, 1)
        return found

    def scaled(self, inputs: Tensor) -> Tensor:
        return ((inputs - self.mean) / self.deviation).clamp(-LIMIT, LIMIT)

    def constants(self) -> dict[str, NDArray[np.generic]]:
        """Return what prediction.py reads: float16, but float32 for what standardizes the inputs."""
        exact = ("mean", "deviation")
        arrays = {name: tensor.numpy() for name, tensor in self.state_dict().items()}
        return {name: array if name in exact else array.astype(np.float16) for name, array in arrays.items()}


def loaded(path: Path) -> Network:
    """Return a network that was fitted before."""
    state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in load_file(path).items()}
    network = Network(state["mean"].numpy(), state["deviation"].numpy())
    network.load_state_dict(state)
    return network.eval()


def mean_of(earlier: Network, later: Network, share: float) -> Network:
    """Return the network whose parameters are the mean of two, `share` of them the earlier one's."""
    states = earlier.state_dict(), later.state_dict()
    later.load_state_dict({name: share * states[0][name] + (1 - share) * states[1][name] for name in states[0]})
    return later


def add_gains(network: Network, gains: Sequence[float]) -> None:
    """Add dB to what a network expects of each kind of weights, everywhere in a picture."""
    with torch.no_grad():
        network.output.bias[1:] -= torch.tensor(gains) * math.log(10) / 10


def train(examples: Sequence[Example], steps: int, seed: int, rate: float, start: Network | None) -> Network:
    """Fit a new network, or train `start` further, which keeps its standardization of the inputs."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    inputs = np.stack([each.inputs for each in examples])
    network = start or Network(inputs.mean(0), inputs.std(0) + np.float32(1e-3))
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    shares = shares_of([each.row for each in examples])
    losses: list[float] = []
    for step in range(1, steps + 1):
        chosen = random.choice(len(examples), BATCH, p=shares)
        luma, told, errors, area = batch([turned(shown(examples[place], random), random) for place in chosen])
        told = network.scaled(told)
        loss = loss_of(network(luma, told + JITTER * torch.randn_like(told)), errors, area)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 500 == 0:
            print(f"{step} steps, loss {np.mean(losses[-500:]):.4f}", flush=True)
    return network


def shares_of(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return how often each row is shown, of sum 1: undamaged pictures have a fixed share in all."""
    undamaged = np.array([row.damage == "undamaged" for row in rows])
    shares = np.where(undamaged, UNDAMAGED / max(undamaged.sum(), 1), (1 - UNDAMAGED) / max((~undamaged).sum(), 1))
    return np.asarray(shares / shares.sum())  # all may be undamaged, or none


Shown = tuple[Values, Values, Values, Values]


def shown(example: Example, random: np.random.Generator) -> Shown:
    """Return BLOCKS x BLOCKS blocks of an example: luma, inputs, errors, area; at a random place, if there is room."""
    room = len(example.area) - BLOCKS
    down, right = (int(value) for value in random.integers(0, room + 1, 2))
    side = BLOCKS * BLOCK
    blocks = slice(down, down + BLOCKS), slice(right, right + BLOCKS)
    top, left = down * BLOCK, right * BLOCK
    luma = example.luma[top : top + side, left : left + side]
    return luma, example.inputs, example.errors[:, *blocks], example.area[blocks]


def turned(found: Shown, random: np.random.Generator) -> Shown:
    """Return one of the eight symmetric views; the grid of blocks stays where it is."""
    luma, inputs, errors, area = found
    if random.random() < 0.5:
        luma, errors, area = luma.T, errors.swapaxes(1, 2), area.T
    down, right = (int(value) * 2 - 1 for value in random.integers(0, 2, 2))
    return luma[::down, ::right], inputs, errors[:, ::down, ::right], area[::down, ::right]


def batch(found: Sequence[Shown]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    luma, inputs, errors, area = (torch.from_numpy(np.stack(each)) for each in zip(*found, strict=True))
    return luma, inputs, errors, area


def loss_of(outputs: Tensor, errors: Tensor, area: Tensor) -> Tensor:
    """Return the loss of errors and shares by block, of the gains of whole pictures, and of the choice by them.

    Kinds that were not measured count only as never to be chosen.
    """
    known = ~errors[:, 1:].sum((2, 3)).isnan()  # (B, kinds)
    floored = errors.nan_to_num(1.0) + FLOOR * area[:, None]  # a blank part may have no error at all
    levels = torch.log(floored / area[:, None])
    importance = floored[:, :1].sqrt() / floored[:, :1].sqrt().sum((2, 3), keepdim=True)
    shares = smooth_l1_loss(outputs[:, 1:], levels[:, 1:] - levels[:, :1], beta=0.2, reduction="none")
    clean = smooth_l1_loss(outputs[:, 0], levels[:, 0], beta=0.5)
    truth = torch.where(known, gains_of_errors(floored), 0.0)
    predicted = gains_of_outputs(outputs, area)
    gains = smooth_l1_loss(predicted, truth.clamp(-LARGEST, LARGEST), beta=0.2, reduction="none")
    by_kind = known * (2 * (shares * importance).sum((2, 3)) + gains)
    return 0.5 * clean + by_kind.sum(1).mean() + soft_regret(predicted, truth, known).mean()


def soft_regret(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return what a choice at random, the likelier the higher the predicted gain, would lose, dB."""
    zero = torch.zeros(len(truth), 1)
    all_predicted = torch.cat([zero, torch.where(known, predicted, -torch.inf)], 1)
    all_truth = torch.cat([zero, truth], 1)
    best = torch.cat([zero, torch.where(known, truth, -torch.inf)], 1).amax(1)
    return best - (torch.softmax(all_predicted / SOFTNESS, 1) * all_truth.clamp(min=-LARGEST)).sum(1)


def gains_of_errors(errors: Tensor) -> Tensor:
    """Return the gains in dB over the first kind, (B, kinds), of errors (B, 1 + kinds, h, w)."""
    sums = errors.sum((2, 3))
    return 10 * torch.log10(sums[:, :1] / sums[:, 1:])


def gains_of_outputs(outputs: Tensor, area: Tensor) -> Tensor:
    clean = torch.exp(outputs[:, :1]) * area[:, None]
    return gains_of_errors(torch.cat([clean, clean * torch.exp(outputs[:, 1:])], 1))


def predicted_gains(examples: Sequence[Example], network: Network) -> NDArray[np.float64]:
    """Return the predicted gains (N, KINDS)."""
    found = []
    for each in examples:
        luma, told, _, area = batch([(each.luma, each.inputs, each.errors, each.area)])
        with torch.inference_mode():
            found.append(gains_of_outputs(network(luma, network.scaled(told)), area)[0].double().numpy())
    return np.array(found)


def true_gains(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Return the gains (N, KINDS), NaN for kinds that were not measured."""
    sums = np.stack([each.errors.sum((1, 2), dtype=np.float64) for each in examples])
    found: NDArray[np.float64] = 10 * np.log10(sums[:, :1] / sums[:, 1:])
    return found


def regret(predicted: NDArray[np.float64], gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the choice by predicted gains loses against the best kind, dB; kinds not measured are left out."""
    zero, unknown = np.zeros((len(gains), 1)), np.isnan(gains)
    all_predicted = np.concatenate([zero, np.where(unknown, -np.inf, predicted)], axis=1)
    all_gains = np.concatenate([zero, np.where(unknown, -np.inf, gains)], axis=1)
    lost: NDArray[np.float64] = all_gains.max(1) - all_gains[np.arange(len(gains)), all_predicted.argmax(1)]
    return lost


def report(examples: Sequence[Example], network: Network) -> str:
    """Return the regret on left-out pictures, of the choice and of always saying one kind."""
    predicted, gains = predicted_gains(examples, network), true_gains(examples)
    lines = []
    for drawing, name in ((False, "photos"), (True, "drawings")):
        mask = np.array([each.row.drawing == drawing for each in examples])
        if not mask.any():
            continue
        fixed: Mapping[str, float] = {
            kind: regret(np.tile(one, (mask.sum(), 1)), gains[mask]).mean()
            for kind, one in (("clean", [-99.0, -99.0]), ("photo", [99.0, -99.0]), ("drawing", [-99.0, 99.0]))
        }
        always = ", ".join(f"always {kind} {value:.3f}" for kind, value in fixed.items())
        lines.append(f"{name}: {regret(predicted[mask], gains[mask]).mean():.3f} ({always})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
