"""Make photos out of focus from those of a corpus: python -m benchmarks.defocus FOLDER --photos CORPUS --count 200

Photographers' corpora were often reduced until they are sharp, so that lights out of focus and grain are rare in them.
The background of each picture, beyond a line through it, is defocused in linear light by a disc, with its lights far
above white; the result is cut off at white, as by a sensor, made as soft as a lens and a demosaicing are, and grainy.
With --colored, a share of the pictures stands in the light of one color, as on a stage or at sunset: some channels are
cut off where the others are nearly black, and what halves the resolution of color then changes the luma, too.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from esrt_core.evaluation.dataset import find_pictures, read_rgb
from esrt_core.media.image.picture import ReadLimits

RADII = 2.0, 24.0  # px of the disc
LIGHTS = 0.5, 5.0  # percent of the pixels that shine
BRIGHTNESS = 2.0, 40.0  # of the lights, times what the picture has
LENS = 0.5, 1.2  # px, sigma of the blur of everything
GRAIN = -3.0, 7.0  # sigma in 8-bit levels; none below 0
COARSENESS = 0.3, 0.9  # px, sigma of the grain's own blur
SHARP = -0.5, 0.7  # share of the picture that is in focus, about; none below 0
WEAKEST = 0.002, 0.7  # of the channels of colored light, times the strongest one
EXPOSURE = 1.0, 4.0  # times the light, with which a camera makes up for the channels that are missing

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Optics:
    """Hold what is done to one picture: see the constants. `light` is what each channel is multiplied by."""

    radius: float
    lights: float
    brightness: float
    lens: float
    grain: float
    coarseness: float
    sharp: float
    light: tuple[float, ...] = (1.0, 1.0, 1.0)


def drawn(random: np.random.Generator, colored: float) -> Optics:
    """Draw what is done to one picture, in colored light in a share of the cases; most are even in their logarithm."""

    def between(limits: tuple[float, float]) -> float:
        return float(np.exp(random.uniform(*np.log(limits))))

    optics = Optics(
        between(RADII), random.uniform(*LIGHTS), between(BRIGHTNESS), between(LENS),
        max(random.uniform(*GRAIN), 0.0), random.uniform(*COARSENESS), random.uniform(*SHARP),
    )  # fmt: skip
    if not colored or random.random() >= colored:
        return optics
    channels = np.array([1.0, between(WEAKEST), between(WEAKEST)]) * between(EXPOSURE)
    return replace(optics, light=tuple(random.permutation(channels).tolist()))


def defocused(rgb: NDArray[np.uint8], optics: Optics, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a photo (H, W, 3) as optics and a grainy sensor would show it."""
    light = (rgb / 255.0) ** 2.2 * optics.light
    luma = light.mean(2)
    shining = luma >= np.percentile(luma, 100 - optics.lights)
    bright = light * np.where(shining, optics.brightness, 1.0)[:, :, None]
    blurred = fftconvolve(_padded(bright, optics.radius), disc(optics.radius)[:, :, None], mode="valid", axes=(0, 1))
    focus = in_focus(luma.shape, optics.sharp, random)[:, :, None]
    seen = (focus * light + (1 - focus) * blurred).clip(0, 1)
    levels = 255 * gaussian_filter(seen, (optics.lens, optics.lens, 0)).clip(0, 1) ** (1 / 2.2)
    return np.asarray((levels + grain(levels.shape, optics, random)).round().clip(0, 255), np.uint8)


def disc(radius: float) -> Values:
    """Return a disc of sum 1 with an antialiased border."""
    reach = int(np.ceil(radius))
    offsets = np.arange(-reach, reach + 1)
    found = (radius + 0.5 - np.hypot(offsets[:, None], offsets)).clip(0, 1)
    return np.asarray(found / found.sum())


def in_focus(shape: tuple[int, ...], sharp: float, random: np.random.Generator) -> Values:
    """Return 1 on one side of a line through the picture, 0 on the other, and a ramp between."""
    angle = random.uniform(0, 2 * np.pi)
    down, right = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    along = np.cos(angle) * down + np.sin(angle) * right
    return np.asarray(((2 * sharp - 1 - along) / 0.3 + 0.5).clip(0, 1))


def grain(shape: tuple[int, ...], optics: Optics, random: np.random.Generator) -> Values:
    """Return grain of the asked deviation; two thirds of it are common to all colors."""
    common, own = random.normal(size=(*shape[:2], 1)), random.normal(size=shape)
    found = gaussian_filter(0.8 * common + 0.6 * own, (optics.coarseness, optics.coarseness, 0))
    return np.asarray(found * (optics.grain / found.std()))


def write(folder: Path, photos: list[Path], colored: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    photo = photos[int(random.integers(len(photos)))]
    made = defocused(read_rgb(photo, ReadLimits()), drawn(random, colored), random)
    # the photographer's number comes first, so that folds of fit_auto keep its pictures together
    Image.fromarray(made).save(folder / f"{photo.stem}-defocused-{seed:05d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--colored", type=float, default=0.0, help="share in the light of one color")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture; the others follow")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    photos = [path for folder in options.photos for path in find_pictures(folder)]
    with ProcessPoolExecutor(options.jobs) as pool:
        job = partial(write, options.folder, photos, options.colored)
        for _ in pool.map(job, range(options.seed, options.seed + options.count)):
            pass


def _padded(light: Values, radius: float) -> Values:
    reach = int(np.ceil(radius))
    return np.pad(light, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")


if __name__ == "__main__":
    main()
