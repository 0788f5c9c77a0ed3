"""The dataset of Bangla digits: fonts apart, digits balanced, pictures as the card says, drawn the same way twice."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from utils.starter.sources.bangla_digits import build, drawing, fonts
from utils.starter.sources.common import cards

REPO = cards.STARTER / build.REPO


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The splits, loaded as a student does it."""
    return load_dataset(str(REPO), cache_dir=str(tmp_path_factory.mktemp("cache")))


def test_the_columns_are_those_of_the_card(shipped):
    assert {split: len(rows) for split, rows in shipped.items()} == build.SIZES
    for rows in shipped.values():
        assert rows.features == build.FEATURES
        assert rows.features["label"].names == list("০১২৩৪৫৬৭৮৯")


def test_every_digit_comes_as_often_as_any_other(shipped):
    for rows in shipped.values():
        assert set(np.bincount(rows["label"], minlength=10)) == {len(rows) // 10}


def test_no_font_is_in_two_splits_and_all_named_are_there(shipped):
    named = {split: {family.name for family in fonts.FAMILIES if family.split == split} for split in build.SIZES}
    assert {split: set(rows["font"]) for split, rows in shipped.items()} == named
    assert sum(map(len, named.values())) == len({family.name for family in fonts.FAMILIES})


def test_pictures_are_small_grey_and_hold_a_digit(shipped):
    for rows in shipped.values():
        for picture in rows["image"]:
            pixels = np.asarray(picture)
            assert picture.mode == "L" and pixels.shape == (32, 32)
            assert not (pixels % 17).any(), "16 grey levels"
            assert np.ptp(pixels) >= 68
            paper = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]))
            ink = np.abs(pixels - paper) > 50
            assert 0.02 < ink.mean() < 0.5


def test_light_on_dark_is_a_third(shipped):
    corners = [np.median(np.asarray(picture)[[0, 0, -1, -1], [0, -1, 0, -1]]) for picture in shipped["train"]["image"]]
    assert 0.25 < np.mean(np.array(corners) < 128) < 0.42


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_pixel_classifier_finds_the_labels_in_the_pictures(shipped, split):
    """Nearest neighbour, by shape alone: far better than chance, or labels and pictures do not belong together."""
    from sklearn.neighbors import KNeighborsClassifier

    def shapes(rows):
        pixels = np.stack([np.asarray(picture, dtype=float) for picture in rows["image"]])
        paper = np.median(pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]], axis=1)[:, None, None]
        return np.abs(pixels - paper).reshape(len(pixels), -1)

    known = shipped["train"].select(range(500))
    asked = shipped["train"].select(range(500, 800)) if split == "train" else shipped["test"]
    near = KNeighborsClassifier(1, metric="cosine").fit(shapes(known), known["label"])
    assert near.score(shapes(asked), asked["label"]) > 0.7


def test_drawing_is_the_same_for_the_same_seed_and_keeps_the_digit_whole(some_font):
    first, second, other = (drawing.Drawer({"some": [some_font]}, seed) for seed in (1, 1, 2))
    for number in range(20):
        one = first(number % 10)
        assert (one.pixels == second(number % 10).pixels).all()
        assert (one.pixels != other(number % 10).pixels).any()
    mask = drawing.glyph(some_font, 3)
    for _ in range(50):
        placed = np.asarray(first.placed(mask))
        assert not placed[[0, -1]].any() and not placed[:, [0, -1]].any(), "ink at the edge: it was cut off"


def test_spread_is_the_mean_distance_within_a_class():
    pixels = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.5, 0.5]])
    assert build.spread(pixels, np.array([0, 0, 1, 1])) == pytest.approx(0.5)


def test_a_missing_tool_ends_the_build_in_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(fonts.Missing, match="npm is not installed"), fonts.fetched("train"):
        pass


@pytest.fixture(scope="module")
def some_font():
    """A Bangla font that every installation of the course has."""
    import fontpkg_hind_siliguri

    return next(Path(fontpkg_hind_siliguri.__file__).parent.rglob("*Bold.ttf"))


@pytest.mark.slow
def test_through_a_real_hub(hub, tmp_path):
    code = """
from datasets import load_dataset
digits = load_dataset("pathshala/bangla-digits")
row = digits["test"][7]
sizes = {split: len(rows) for split, rows in digits.items()}
print(sizes, row["image"].size, digits["test"].features["label"].int2str(row["label"]))
"""
    env = hub.environment("rahim", tmp_path / "home") | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8")
    assert done.stdout == f"{build.SIZES} (32, 32) ৭\n", done.stderr
