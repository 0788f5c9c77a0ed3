"""Bangla in a plot: `start()` sets a font and matplotlib shapes it, so conjuncts come out as conjuncts."""

import pytest

# In a conjunct the letters melt into one glyph; a ZWNJ after the hasanta keeps them apart.
CONJUNCTS = ["ক\u09cdষ", "স\u09cdত\u09cdর", "ন\u09cdদ", "জ\u09cdঞ"]
SCRIPT = f"""
import json, os, warnings
from utils.notebook import start
start()
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy

figure = plt.figure(figsize=(6, 2), dpi=100)

def width(text):
    written = figure.text(0, 0, text, fontsize=40)
    extent = written.get_window_extent()
    written.remove()
    return extent.width

def height(text, weight):
    # Of the ink, in pixels.
    written = figure.text(0.1, 0.3, text, fontsize=60, weight=weight)
    figure.canvas.draw()
    rows = (numpy.asarray(figure.canvas.buffer_rgba())[..., 0] < 128).any(axis=1)
    written.remove()
    return int(rows.sum())

font = matplotlib.font_manager.FontProperties()
widths = [[width(text), width(text.replace("\u09cd", "\u09cd\u200c"))] for text in {CONJUNCTS!r}]
heights = {{weight: [height(digit, weight) for digit in "১২"] for weight in ("normal", "bold", "semibold", 500)}}
with warnings.catch_warnings(record=True) as warned:
    plt.title("ক্ষুদ্র স্ত্রী: ৳১,২০০ − Hub → ৳০.৯৮")
    figure.savefig("plot.png")
print(json.dumps({{
    "font": font.get_name(),
    "file": os.path.basename(matplotlib.font_manager.findfont(font)),
    "widths": widths,
    "heights": heights,
    "warned": [str(warning.message) for warning in warned],
}}))
"""


@pytest.fixture(scope="module")
def plotted(python, place) -> dict:
    return python(SCRIPT, place.home.parent, PATHSHALA_HOME=place.home)


def test_the_font_is_the_courses(plotted):
    assert plotted["font"] == "Hind Siliguri" and plotted["file"].startswith("HindSiliguri")


def test_conjuncts_are_shaped(plotted):
    for conjunct, (joined, apart) in zip(CONJUNCTS, plotted["widths"], strict=True):
        assert joined < 0.85 * apart, conjunct


def test_one_is_drawn_whole(plotted):
    """In some weights of the font ১ has lost its stem."""
    for weight, (one, two) in plotted["heights"].items():
        assert one > 0.85 * two, weight


def test_no_glyph_is_missing(plotted):
    assert plotted["warned"] == []
