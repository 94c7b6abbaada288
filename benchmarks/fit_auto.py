"""Fit the rule of `--model auto` to a table of benchmarks.kinds: python -m benchmarks.fit_auto CACHE

Writes esrt_core/evaluation/prediction.json: small networks that predict, from what is seen of a picture and what its
container says, whether it is a drawing, and what the photo weights gain over the clean ones on a photo. Every row of
the table is shown in up to three forms: the file itself, its pixels kept as PNG, and those cropped so that an 8 x 8
grid is shifted (for which the gain of the whole part stands). The members of an ensemble become one network. Also
prints the regret on pictures that were left out, by cross-validation.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import smooth_l1_loss

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
    gains_of,
    inputs_of,
)
from esrt_core.media.frame import Frame

FORMS = ("file", "png", "cropped")
HIDDEN, MEMBERS, STEPS, BATCH = 10, 4, 800, 256
RATE, DECAY = 1e-2, 0.1
LARGEST = 1.5  # dB; larger gains need no exact prediction
SIDES = 1.0  # what is learned for drawings, and its negative for photos
UNDAMAGED = 8.0  # weight of undamaged pictures, which are one of a dozen damages
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

    def gains(self, inputs: Values) -> Values:
        """Return the predicted gains (N, KINDS)."""
        scaled = ((inputs - self.mean) / self.deviation).clip(-LIMIT, LIMIT)
        outputs = np.tanh(scaled @ self.first.T + self.first_bias) @ self.second.T + self.second_bias
        return np.array([[gains_of(row)[kind] for kind in KINDS] for row in outputs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = [load_table(options.cache, name, ("clean", *KINDS)) for name in ("fit", "more")]
    examples = joined([examples_of(table) for table in tables if table.rows])
    pictures = {(row.drawing, row.picture) for row in examples.rows}
    print(f"{len(examples.rows)} examples of {len(pictures)} pictures, regret in dB when left out:")
    print(cross_validated(examples))
    network = fitted(examples)
    write(network)


def examples_of(table: Table) -> Examples:
    inputs, gains, rows, forms = [], [], [], []
    for row, lr, psnr in zip(table.rows, table.lr, table.psnr, strict=True):
        for form, seen, container in shown(row, lr):
            inputs.append(inputs_of(seen, container, row.scale))
            gains.append(psnr[1:] - psnr[0])
            rows.append(row)
            forms.append(form)
    return Examples(np.array(inputs), completed(np.array(gains), rows), rows, forms)


def joined(parts: Sequence[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.gains for part in parts]),
        [row for part in parts for row in part.rows],
        [form for part in parts for form in part.forms],
    )


def completed(gains: Values, rows: Sequence[Row]) -> Values:
    """Fill in other gains than the first of rows that were measured: the mean for photos or drawings of the scale.

    A kind that was not measured for any of them is as bad as can be. Rows without the first stay unknown.
    """
    gains = gains.copy()
    for group in {(row.drawing, row.scale) for row in rows}:
        mine = np.array([(row.drawing, row.scale) == group for row in rows]) & ~np.isnan(gains[:, 0])
        for kind in range(1, gains.shape[1]):
            unknown = mine & np.isnan(gains[:, kind])
            if unknown.any():
                known = gains[mine & ~unknown, kind]
                gains[unknown, kind] = known.mean() if known.size else -LARGEST
    return gains


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
    drawings, known = np.array([row.drawing for row in examples.rows]), ~np.isnan(examples.gains[:, 0])
    for name, mask in (("photos", ~drawings & known), ("drawings", drawings & known)):
        loss = regret(predicted, examples.gains)[mask].mean()
        fixed = [
            regret(np.tile(one, (len(mask), 1)), examples.gains)[mask].mean() for one in ([-9, -9], [9, -9], [-9, 9])
        ]
        always = ", ".join(f"always {kind} {value:.3f}" for kind, value in zip(("clean", *KINDS), fixed, strict=True))
        lines.append(f"{name}: {loss:.3f} ({always})")
    return "\n".join(lines)


def regret(predicted: Values, gains: Values) -> Values:
    """Return what the choice by predicted gains loses against the best kind, dB; kinds not measured count as worst."""
    all_predicted = np.concatenate([np.zeros((len(gains), 1)), predicted], axis=1)
    all_gains = np.concatenate([np.zeros((len(gains), 1)), gains], axis=1)
    lost: Values = all_gains.max(1) - all_gains[np.arange(len(gains)), all_predicted.argmax(1)]
    return lost


def fitted(examples: Examples) -> Network:
    """Fit the networks of what photos gain and of what tells drawings from them, and join them."""
    mean, deviation = examples.inputs.mean(0), examples.inputs.std(0) + 1e-3
    scaled = torch.tensor(((examples.inputs - mean) / deviation).clip(-LIMIT, LIMIT), dtype=torch.float32)
    drawing = torch.tensor([row.drawing for row in examples.rows])
    known = torch.tensor(~np.isnan(examples.gains[:, 0]))
    of_photos = ~drawing & known
    gains = torch.tensor(examples.gains, dtype=torch.float32).clamp(-LARGEST, LARGEST)
    weights = torch.tensor([[UNDAMAGED if row.damage == "undamaged" else 1.0] for row in examples.rows])
    members = [
        *(
            Member((0,), trained(scaled[of_photos], gains[of_photos, :1], weights[of_photos], seed))
            for seed in range(MEMBERS)
        ),
        *(
            Member((1,), trained(scaled, SIDES * (2.0 * drawing[:, None] - 1), torch.ones(len(scaled), 1), seed))
            for seed in range(MEMBERS)
        ),
    ]
    second = np.zeros((len(OUTPUTS), HIDDEN * len(members)))
    second_bias = np.zeros(len(OUTPUTS))
    for place, member in enumerate(members):
        second[list(member.outputs), HIDDEN * place : HIDDEN * (place + 1)] = member.parts[2] / MEMBERS
        second_bias[list(member.outputs)] += member.parts[3] / MEMBERS
    first, first_bias = (np.concatenate([member.parts[part] for member in members]) for part in range(2))
    return Network(mean, deviation, first, first_bias, second, second_bias)


@dataclass(frozen=True)
class Member:
    """Hold the weights and biases of a small network, and which of OUTPUTS it predicts."""

    outputs: tuple[int, ...]
    parts: list[Values]


def trained(inputs: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor, seed: int) -> list[Values]:
    """Return the weights and biases of one member."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, truth.shape[1])
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        batch = torch.randint(0, len(inputs), (BATCH,))
        error = smooth_l1_loss(network(inputs[batch]), truth[batch], beta=0.3, reduction="none")
        optimizer.zero_grad()
        torch.autograd.backward((weights[batch] * error).mean())
        optimizer.step()
        schedule.step()
    return [parameter.detach().double().numpy() for parameter in network.parameters()]


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
