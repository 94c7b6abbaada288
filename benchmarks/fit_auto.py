"""Fit the rule of `--model auto` to a table of benchmarks.kinds: python -m benchmarks.fit_auto CACHE

Writes esrt_core/evaluation/prediction.json: small networks that predict, from what is seen of a picture and what its
container says, what the photo and the drawing weights gain over the clean ones, and whether it is a drawing. They learn
the gains and, more, to lose little by taking the kind with the highest one. With --base they correct the photo gain of
an earlier fit, photo_gain.json beside this file: that was fitted to 220 photos with 14 damages at three scales each,
of which a fit to fewer rows keeps what it can. Every row of the table is shown in up to
three forms: the file itself, its pixels kept as PNG, and those cropped so that an 8 x 8 grid is shifted (for which the
gain of the whole part stands). The members of an ensemble become one network. Also prints the regret on pictures that
were left out, by cross-validation, which chose the constants below; the set "report" chose nothing.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad, smooth_l1_loss

from benchmarks.kinds import Row, Table, load_table
from esrt_core.evaluation.damage import Look, look
from esrt_core.evaluation.prediction import (
    CODECS,
    CONSTANTS,
    INPUTS,
    KINDS,
    LIMIT,
    OUTPUTS,
    Container,
    inputs_of,
)
from esrt_core.media.frame import Frame

FORMS = ("file", "png", "cropped")
HIDDEN, MEMBERS, STEPS, BATCH = 10, 6, 600, 256
RATE, DECAY = 1e-2, 0.1
LARGEST = 1.5  # dB; larger gains need no exact prediction
SOFTNESS = 0.1  # dB, of the choice in the fit
CHOICE = 2.0  # weight of what the choice loses
UNDAMAGED = 2.0  # weight of undamaged pictures
STAY = 10.0  # weight of leaving the base's gain of a photo as it is
FOLDS = 4
PROGRAM_NAMES = {"heif": "heic"}  # of formats: Pillow's and ours

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Hold inputs (N, len(INPUTS)), gains over clean (N, kinds) in dB, and the rows they come from."""

    inputs: Values
    gains: Values
    rows: Sequence[Row]
    forms: Sequence[str]

    def take(self, chosen: NDArray[np.bool_]) -> "Examples":
        places: list[int] = np.flatnonzero(chosen).tolist()
        return Examples(
            self.inputs[places], self.gains[places], [self.rows[p] for p in places], [self.forms[p] for p in places]
        )


@dataclass(frozen=True)
class Network:
    """Hold several networks as one, see prediction.predict_from(); `second` has a row for each of OUTPUTS."""

    mean: Values
    deviation: Values
    first: Values
    first_bias: Values
    second: Values
    second_bias: Values

    def scaled(self, inputs: Values) -> Values:
        """Return standardized inputs."""
        return ((inputs - self.mean) / self.deviation).clip(-LIMIT, LIMIT)

    def outputs(self, inputs: Values) -> Values:
        """Return (N, OUTPUTS)."""
        outputs: Values = np.tanh(self.scaled(inputs) @ self.first.T + self.first_bias) @ self.second.T
        return outputs + self.second_bias


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--base", type=Path, help="an earlier fit of the photo gain, which is corrected")
    options = parser.parse_args()
    torch.set_num_threads(1)
    examples = examples_of(load_table(options.cache, "fit", ("clean", *KINDS)))
    pictures = {(row.drawing, row.picture) for row in examples.rows}
    print(f"{len(examples.rows)} examples of {len(pictures)} pictures, regret in dB when left out:")
    base = blank(examples) if options.base is None else read(options.base)
    print(cross_validated(examples, base))
    write(fitted(examples, base))


def examples_of(table: Table) -> Examples:
    """Return the examples of the rows for which all kinds are measured."""
    inputs, gains, rows, forms = [], [], [], []
    for row, lr, psnr in zip(table.rows, table.lr, table.psnr, strict=True):
        for form, seen, container in [] if np.isnan(psnr).any() else shown(row, lr):
            inputs.append(inputs_of(seen, container, row.scale))
            gains.append(psnr[1:] - psnr[0])
            rows.append(row)
            forms.append(form)
    return Examples(np.array(inputs), np.array(gains), rows, forms)


def shown(row: Row, lr: NDArray[np.uint8]) -> Iterator[tuple[str, Look, Container]]:
    """Yield the forms in which a row can be met: what is seen, and what the container says."""
    whole, cropped = look([Frame((lr,))]), look([Frame((np.ascontiguousarray(lr[row.crop[0] :, row.crop[1] :]),))])
    container = container_of(row)
    yield "file", whole, container
    if container != Container():
        yield "png", whole, Container()
    yield "cropped", cropped, Container()


def container_of(row: Row) -> Container:
    codec = PROGRAM_NAMES.get(row.container, row.container)
    return Container(codec, row.bits) if codec in CODECS else Container(quality=row.quality)


def blank(examples: Examples) -> Network:
    """Return the base of a fit from nothing."""
    count = len(OUTPUTS)
    none = np.zeros((0, len(INPUTS)))
    return Network(
        examples.inputs.mean(0), examples.inputs.std(0) + 1e-3, none, none[:, 0], np.zeros((count, 0)), np.zeros(count)
    )


def read(path: Path) -> Network:
    content = json.loads(path.read_text(encoding="utf-8"))
    if (tuple(content.pop("inputs")), tuple(content.pop("outputs"))) != (INPUTS, OUTPUTS):
        raise SystemExit(f"{path} was made for others than today's inputs and outputs")
    return Network(**{name: np.array(values) for name, values in content.items()})


def cross_validated(examples: Examples, base: Network) -> str:
    """Return the regret on left-out pictures, of the choice and of always saying one kind."""
    names = sorted({row.picture for row in examples.rows})
    np.random.default_rng(0).shuffle(names)
    fold = np.array([names.index(row.picture) % FOLDS for row in examples.rows])
    predicted = np.zeros_like(examples.gains)
    for each in range(FOLDS):
        network = fitted(examples.take(fold != each), base)
        predicted[fold == each] = network.outputs(examples.inputs[fold == each])[:, : len(KINDS)]
    lines = []
    for name, drawing in (("photos", False), ("drawings", True)):
        mask = np.array([row.drawing == drawing for row in examples.rows])
        fixed = [regret(np.tile(one, (len(mask), 1)), examples.gains)[mask].mean() for one in FIXED]
        always = ", ".join(f"always {kind} {value:.3f}" for kind, value in zip(("clean", *KINDS), fixed, strict=True))
        lines.append(f"{name}: {regret(predicted, examples.gains)[mask].mean():.3f} ({always})")
    return "\n".join(lines)


FIXED = ([-9, -9], [9, -9], [-9, 9])  # gains by which always the same kind is chosen


def regret(predicted: Values, gains: Values) -> Values:
    """Return what the choice by predicted gains loses against the best kind, dB."""
    all_predicted = np.concatenate([np.zeros((len(gains), 1)), predicted], axis=1)
    all_gains = np.concatenate([np.zeros((len(gains), 1)), gains], axis=1)
    lost: Values = all_gains.max(1) - all_gains[np.arange(len(gains)), all_predicted.argmax(1)]
    return lost


def fitted(examples: Examples, base: Network) -> Network:
    """Fit the members, which correct the base, and join all to one network."""
    facts = Facts(
        torch.tensor(base.scaled(examples.inputs), dtype=torch.float32),
        torch.tensor(base.outputs(examples.inputs), dtype=torch.float32),
        torch.tensor(examples.gains, dtype=torch.float32),
        torch.tensor([row.drawing for row in examples.rows], dtype=torch.float32),
        torch.tensor([UNDAMAGED if row.damage == "undamaged" else 1.0 for row in examples.rows]),
    )
    members = [trained(facts, seed) for seed in range(MEMBERS)]
    first, first_bias, second, second_bias = zip(*members, strict=True)
    return Network(
        *(base.mean, base.deviation, np.concatenate((base.first, *first))),
        np.concatenate((base.first_bias, *first_bias)),
        np.concatenate((base.second, *(each / MEMBERS for each in second)), axis=1),
        base.second_bias + np.mean(second_bias, axis=0),
    )


@dataclass(frozen=True)
class Facts:
    """Hold what the members learn from: standardized inputs, what the base says, gains, 1 for drawings, and weights."""

    inputs: torch.Tensor
    base: torch.Tensor
    gains: torch.Tensor
    drawing: torch.Tensor
    weights: torch.Tensor


def trained(facts: Facts, seed: int) -> list[Values]:
    """Return the weights and biases of one member."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(len(INPUTS), HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, len(OUTPUTS))
    )
    torch.nn.init.zeros_(network[2].weight)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.autograd.backward(error(network, facts, torch.randint(0, len(facts.inputs), (BATCH,))))
        optimizer.step()
        schedule.step()
    return [parameter.detach().double().numpy() for parameter in network.parameters()]


def error(network: torch.nn.Module, facts: Facts, batch: torch.Tensor) -> torch.Tensor:
    """Return what a member is to make small: wrong gains and sides, what the choice loses, and changes of the base."""
    correction, gains, drawing = network(facts.inputs[batch]), facts.gains[batch], facts.drawing[batch]
    outputs = correction + facts.base[batch]
    truth = torch.cat([gains.clamp(-LARGEST, LARGEST), 2 * drawing[:, None] - 1], dim=1)
    wrong = smooth_l1_loss(outputs, truth, beta=0.3, reduction="none").mean(1)
    lost = lost_softly(outputs[:, : len(KINDS)], gains)
    changed = (1 - drawing) * correction[:, 0] ** 2 * (facts.base[batch, 0] != 0)
    return (facts.weights[batch] * (wrong + CHOICE * lost) + STAY * changed).mean()


def lost_softly(predicted: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Return what is lost on average, dB, if kinds are taken by the softmax of their predicted gains (N, kinds)."""
    all_predicted, all_gains = (pad(each, (1, 0)) for each in (predicted, gains))
    shares = torch.softmax(all_predicted / SOFTNESS, dim=1)
    return (shares * (all_gains.amax(1, keepdim=True) - all_gains)).sum(1)


def write(network: Network) -> None:
    def rounded(values: Values) -> list[object]:
        found: list[object] = (
            np.array([float(f"{value:.4g}") for value in values.ravel()]).reshape(values.shape).tolist()
        )
        return found

    content = {"inputs": INPUTS, "outputs": OUTPUTS}
    arrays = {name: rounded(values) for name, values in vars(network).items()}
    CONSTANTS.write_text(json.dumps(content | arrays) + "\n", encoding="utf-8")
    print(f"{CONSTANTS}: {len(network.first)} hidden units")


if __name__ == "__main__":
    main()
