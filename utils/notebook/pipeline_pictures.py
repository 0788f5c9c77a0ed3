"""The pictures of the chapter on pipelines: one taken apart with its numbers, and what padding makes of a batch."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from utils.notebook.bangla import bn
from utils.notebook.pictures import BLUE, GREEN, GREY, INK, LIGHT, ORANGE


def taken_apart(
    text: str,
    tokens: Sequence[str],
    ids: Sequence[int],
    id2label: Mapping[int, str],
    logits: Sequence[float],
    scores: Sequence[float],
) -> Figure:
    """From left to right: the text, its tokens with their numbers, the logits, and the scores with their labels."""
    figure = Figure(figsize=(9.6, 3.9))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 40))
    axes.axis("off")
    best = max(range(len(scores)), key=scores.__getitem__)
    columns = [
        (11, 18, GREY, "লেখা", wrap(text, 18)),
        (40, 18, BLUE, "নম্বর", [f"{token}  {number}" for token, number in zip(tokens, ids, strict=True)]),
        (65, 12, ORANGE, "logits", [f"{value:.2f}" for value in logits]),
        (89, 19, GREEN, "উত্তর", [f"{id2label[place]}  {score:.3f}" for place, score in enumerate(scores)]),
    ]
    for column, (x, width, colour, name, lines) in enumerate(columns):
        box = FancyBboxPatch((x - width / 2, 3), width, 30, boxstyle="round,pad=0.3,rounding_size=1.2")
        box.set(facecolor=LIGHT, edgecolor=colour, linewidth=2.2)
        axes.add_patch(box)
        axes.text(x, 36.5, name, ha="center", va="center", fontsize=13, weight="bold", color=colour)
        step = min(4.5, 28 / len(lines))
        for row, line in enumerate(lines):
            bold = "bold" if column > 1 and row == best else "normal"
            height = 18 + step * ((len(lines) - 1) / 2 - row)
            axes.text(x, height, line, ha="center", va="center", fontsize=10, color=INK, weight=bold)
    for start, end, name in ((20.5, 30.5, "tokenizer"), (49.5, 58.5, "model"), (71.5, 79, "softmax\nid2label")):
        axes.annotate("", xy=(end, 18), xytext=(start, 18), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.8})
        axes.text((start + end) / 2, 19.2, name, ha="center", va="bottom", fontsize=10.5, weight="bold", color=INK)
    figure.set_label(
        f"চারটা ঘর, বাঁ থেকে ডানে। লেখা: {text}। tokenizer তাকে {bn(len(ids))}টা নম্বর বানায়, model সেখান থেকে "
        f"{bn(len(logits))}টা logits, softmax আর id2label সেখান থেকে উত্তর: {id2label[best]} {scores[best]:.3f}।"
    )
    return figure


def batches(ways: Mapping[str, Sequence[Sequence[int]]], milliseconds: Sequence[float]) -> Figure:
    """One panel a way of running the same texts: each row a text, blue its tokens, orange what it is padded with.

    `ways` is name → its batches, each a list of lengths in tokens.
    """
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    said = []
    for place, ((name, groups), took) in enumerate(zip(ways.items(), milliseconds, strict=True), start=1):
        axes = figure.add_subplot(1, len(ways), place)
        row = real = cells = 0
        for lengths in groups:
            heights = range(row, row + len(lengths))
            axes.barh(heights, max(lengths), color=ORANGE, alpha=0.55, height=0.8)
            axes.barh(heights, lengths, color=BLUE, height=0.8)
            row += len(lengths) + (len(lengths) > 1)  # a gap after a real batch
            real, cells = real + sum(lengths), cells + len(lengths) * max(lengths)
        axes.invert_yaxis()
        axes.set_yticks([])
        axes.set_xlabel("token")
        axes.set_title(f"{name}\n{took:.0f} ms", fontsize=11, color=INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        said.append(f"{name}: {bn(cells)} ঘরের {bn(real)}টা আসল, {took:.0f} ms")
    figure.legend(
        handles=[Patch(color=BLUE, label="আসল token"), Patch(color=ORANGE, alpha=0.55, label="[PAD]")],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    figure.set_label(f"একই লেখাগুলো চালানোর {bn(len(ways))}টা উপায়, প্রতি লেখায় একটা দাগ। {'; '.join(said)}।")
    return figure
