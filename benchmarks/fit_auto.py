"""Fit the rule of `--model auto` to a table of benchmarks.kinds: python -m benchmarks.fit_auto CACHE

Writes esrt_core/evaluation/prediction.json: a network of one hidden layer that predicts, from what is seen of a picture
and what its container says, what every kind of weights gains over the clean ones. Every row of the table is shown in up
to three forms: the file itself, its pixels kept as PNG, and those cropped so that an 8 x 8 grid is shifted (for which the
gain of the whole part stands). Several networks from different seeds become one. Also prints the regret on pictures
that were left out, by five-fold cross-validation.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.kinds import Row, Table, load_table
from esrt_core.evaluation.damage import Look, look
from esrt_core.evaluation.prediction import CODECS, CONSTANTS, INPUTS, Container, inputs_of
from esrt_core.media.frame import Frame

KINDS = ("photo", "drawing")  # besides clean
FORMS = ("file", "png", "cropped")
HIDDEN, MEMBERS, STEPS, BATCH = 12, 6, 2500, 512
RATE, DECAY = 5e-3, 0.03
LARGEST = 1.5  # dB; larger gains need no exact prediction
SOFTNESS = 0.1  # dB, of the choice whose expected loss is minimized
FOLDS = 5
PROGRAM_NAMES = {"heif": "heic"}  # of formats: Pillow's and ours

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Hold inputs (N, len(INPUTS)), gains over clean (N, kinds) in dB with NaN for those not measured, and their rows."""

    inputs: Values
    gains: Values
    rows: Sequence[Row]
    forms: Sequence[str]

    def take(self, chosen: NDArray[np.bool_]) -> "Examples":
        places = np.flatnonzero(chosen)
        return Examples(
            self.inputs[places], self.gains[places], [self.rows[p] for p in places], [self.forms[p] for p in places]
        )


@dataclass(frozen=True)
class Network:
    """Hold the members of an ensemble as one network; see prediction.predict_gains()."""

    mean: Values
    deviation: Values
    first: Values
    first_bias: Values
    second: Values
    second_bias: Values

    def gains(self, inputs: Values) -> Values:
        scaled = ((inputs - self.mean) / self.deviation).clip(-4, 4)
        return np.tanh(scaled @ self.first.T + self.first_bias) @ self.second.T + self.second_bias


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    examples = examples_of(load_table(options.cache, "fit", ("clean", *KINDS)))
    pictures = {(row.drawing, row.picture) for row in examples.rows}
    print(f"{len(examples.rows)} examples of {len(pictures)} pictures, regret in dB when left out:")
    print(cross_validated(examples))
    network = fitted(examples)
    write(network)


def examples_of(table: Table) -> Examples:
    inputs, gains, rows, forms = [], [], [], []
    for row, lr, psnr in zip(table.rows, table.lr, table.psnr, strict=True):
        if np.isnan(psnr[:2]).any():
            continue
        for form, seen, container in shown(row, lr):
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


def cross_validated(examples: Examples) -> str:
    """Return the regret on left-out pictures, of the choice and of always saying one kind."""
    names = sorted({row.picture for row in examples.rows})
    np.random.default_rng(0).shuffle(names)
    fold = np.array([names.index(row.picture) % FOLDS for row in examples.rows])
    predicted = np.zeros_like(examples.gains)
    for each in range(FOLDS):
        predicted[fold == each] = fitted(examples.take(fold != each)).gains(examples.inputs[fold == each])
    lines = []
    drawings = np.array([row.drawing for row in examples.rows])
    for name, mask in (("photos", ~drawings), ("drawings", drawings)):
        loss = regret(predicted, examples.gains)[mask].mean()
        fixed = [
            regret(np.tile(one, (len(mask), 1)), examples.gains)[mask].mean() for one in ([-9, -9], [9, -9], [-9, 9])
        ]
        always = ", ".join(f"always {kind} {value:.3f}" for kind, value in zip(("clean", *KINDS), fixed, strict=True))
        lines.append(f"{name}: {loss:.3f} ({always})")
    return "\n".join(lines)


def regret(predicted: Values, gains: Values) -> Values:
    """Return what the choice by predicted gains loses against the best kind, dB; kinds not measured count as worst."""
    known = np.where(np.isnan(gains), -9.0, gains)
    all_predicted = np.concatenate([np.zeros((len(gains), 1)), predicted], axis=1)
    all_gains = np.concatenate([np.zeros((len(gains), 1)), known], axis=1)
    chosen: Values = all_gains[np.arange(len(gains)), all_predicted.argmax(1)]
    return all_gains.max(1) - chosen


def fitted(examples: Examples) -> Network:
    """Fit all members and join them."""
    mean, deviation = examples.inputs.mean(0), examples.inputs.std(0) + 1e-3
    scaled = torch.tensor(((examples.inputs - mean) / deviation).clip(-4, 4), dtype=torch.float32)
    gains = torch.tensor(examples.gains, dtype=torch.float32)
    members = [trained(scaled, gains, seed) for seed in range(MEMBERS)]
    first, first_bias, second, second_bias = ([member[part] for member in members] for part in range(4))
    return Network(
        mean, deviation, np.concatenate(first), np.concatenate(first_bias),
        np.concatenate(second, axis=1) / MEMBERS, np.mean(second_bias, axis=0),
    )  # fmt: skip


def trained(inputs: torch.Tensor, gains: torch.Tensor, seed: int) -> list[Values]:
    """Return the weights and biases of one member: it learns the gains, and to lose little by the choice."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, gains.shape[1])
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    measured = ~gains.isnan()
    known = gains.nan_to_num(-LARGEST)
    for _ in range(STEPS):
        batch = torch.randint(0, len(inputs), (BATCH,), generator=generator)
        output, truth, mask = network(inputs[batch]), known[batch], measured[batch]
        error = torch.nn.functional.smooth_l1_loss(output, truth.clamp(-LARGEST, LARGEST), beta=0.3, reduction="none")
        none = torch.zeros(len(batch), 1)
        chances = torch.softmax(torch.cat([none, output], 1) / SOFTNESS, 1)
        values = torch.cat([none, truth], 1)
        lost = values.max(1).values - (chances * values).sum(1)
        optimizer.zero_grad()
        (error[mask].mean() + lost.clamp(max=LARGEST).mean()).backward()
        optimizer.step()
        schedule.step()
    return [parameter.detach().double().numpy() for parameter in network.parameters()]


def write(network: Network) -> None:
    def rounded(values: Values) -> list[object]:
        found: list[object] = (
            np.array([float(f"{value:.4g}") for value in values.ravel()]).reshape(values.shape).tolist()
        )
        return found

    content = {"inputs": INPUTS, "kinds": KINDS}
    arrays = {name: rounded(values) for name, values in vars(network).items()}
    CONSTANTS.write_text(json.dumps(content | arrays) + "\n", encoding="utf-8")
    print(f"{CONSTANTS}: {len(network.first)} hidden units")


if __name__ == "__main__":
    main()
