"""Plots that a Bangla reader can read: the course's font, and a description for those who cannot see them."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # matplotlib takes a second to import: not before the Hub has been told to start
    from matplotlib.figure import Figure


def use_bangla_font() -> None:
    """Makes Hind Siliguri matplotlib's font; letters it lacks come from matplotlib's own DejaVu Sans.

    Light and Bold alone: the outlines of ১ are broken in the weights between.
    """
    import fontpkg_hind_siliguri as font
    from matplotlib import font_manager, rcParams

    for weight in ("Light", "Bold"):
        font_manager.fontManager.addfont(font.ROOT / "files" / f"HindSiliguri-{weight}.ttf")
    logging.getLogger("matplotlib.font_manager").addFilter(_not_of_weights)
    rcParams["font.family"] = [font.FAMILY, "DejaVu Sans"]


def _not_of_weights(record: logging.LogRecord) -> bool:
    """matplotlib tells of every weight that a font has not; what else it tells stays to be read."""
    return "find font weight" not in record.getMessage()


def show(figure: Figure) -> None:
    """Shows a figure as a picture; its label (`figure.set_label`) is the description for those who cannot see it."""
    from IPython.display import Image, display

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    display(Image(buffer.getvalue(), alt=figure.get_label()))
