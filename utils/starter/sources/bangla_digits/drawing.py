"""Draws a digit as one picture of 32 × 32 grey pixels: another size, slant, place, ink, paper and grain each time."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

DIGITS = "০১২৩৪৫৬৭৮৯"
SIDE = 32
FINE = 4  # drawn so many times larger, then made small: smooth edges
LARGE = 160  # pixels of an em before the digit is turned and stretched
LEVELS = 16  # grey levels: PNG keeps half a byte a pixel


@dataclass(frozen=True)
class Picture:
    """`pixels`: 32 × 32, uint8; `digit`: 0 to 9; `font`: the family's name."""

    pixels: np.ndarray
    digit: int
    font: str


class Drawer:
    """Draws from some families of fonts, each as often as any other, whatever the number of its weights."""

    def __init__(self, files: dict[str, list[Path]], seed: int) -> None:
        self.files = files
        self.families = sorted(files)
        self.chance = np.random.default_rng(seed)

    def __call__(self, digit: int) -> Picture:
        family = self.families[self.chance.integers(len(self.families))]
        weights = self.files[family]
        path = weights[self.chance.integers(len(weights))]
        shade = shrunk(self.placed(glyph(path, digit)))
        return Picture(self.inked(shade), digit, family)

    def placed(self, mask: Image.Image) -> Image.Image:
        """The digit turned, slanted, stretched and put somewhere near the middle of a fine canvas, whole."""
        between = self.chance.uniform
        wide, high = mask.size
        angle, slant = np.radians(between(-12, 12)), between(-0.15, 0.15)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shape = turn @ np.array([[1, slant], [0, 1]]) @ np.diag([between(0.85, 1.15), 1])
        reach = np.abs(shape) @ [wide / 2, high / 2]  # how far the corners stick out from the middle
        shape *= FINE * between(20, 28) / (2 * reach.max())
        reach = np.abs(shape) @ [wide / 2, high / 2]
        side = FINE * SIDE
        room = np.maximum(0, side / 2 - FINE - reach)
        middle = side / 2 + between(-1, 1, 2) * np.minimum(room, 3 * FINE)
        back = np.linalg.inv(shape)
        moved = np.array([wide / 2, high / 2]) - back @ middle
        matrix = (back[0, 0], back[0, 1], moved[0], back[1, 0], back[1, 1], moved[1])
        return mask.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)

    def inked(self, shade: np.ndarray) -> np.ndarray:
        """Dark ink on light paper, or, one time in three, light on dark; grain on about half; 16 grey levels."""
        ink, paper = self.chance.uniform(0, 90), self.chance.uniform(165, 255)
        if self.chance.random() < 1 / 3:
            ink, paper = paper, ink
        grey = paper + (ink - paper) * shade
        grey += self.chance.normal(0, max(0, self.chance.uniform(-4, 5)), shade.shape)
        step = 255 / (LEVELS - 1)
        return (np.rint(np.clip(grey, 0, 255) / step) * step).astype(np.uint8)


@cache
def glyph(path: Path, digit: int) -> Image.Image:
    """The digit in white on black, cut to its edges. At this size no hinting bends it."""
    font = ImageFont.truetype(path, LARGE)
    mask = Image.new("L", (3 * LARGE, 3 * LARGE))
    ImageDraw.Draw(mask).text((LARGE, LARGE), DIGITS[digit], fill=255, font=font)
    return mask.crop(mask.getbbox())


def shrunk(mask: Image.Image) -> np.ndarray:
    """The fine canvas as 32 × 32 shares of ink, 0 to 1."""
    return np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
