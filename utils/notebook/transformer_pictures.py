"""The pictures of the chapter on the Transformer: attention weights, one block, and who sees whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyBboxPatch

from utils.notebook.bangla import bn
from utils.notebook.pictures import BLUE, GREEN, GREY, INK, LIGHT, ORANGE

if TYPE_CHECKING:  # the notebook has torch already; a test of a picture need not wait for it
    from torch import Tensor


def heat_maps(tokens: Sequence[str], weights: Tensor) -> Figure:
    """Attention weights (head, token, token), one square a head: the row looks at the column, darker is more."""
    heads, count = len(weights), len(tokens)
    columns = min(heads, 2)
    rows = -(-heads // columns)
    figure = Figure(figsize=(4.3 * columns, 4.1 * rows), layout="constrained")
    said = []
    for head, square in enumerate(weights.tolist()):
        axes = figure.add_subplot(rows, columns, head + 1)
        image = axes.imshow(square, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(count), tokens, rotation=45, ha="right", rotation_mode="anchor", fontsize=10)
        axes.set_yticks(range(count), tokens, fontsize=10)
        axes.set_title(f"head {head + 1}", fontsize=11)
        for row, line in enumerate(square):
            for column, weight in enumerate(line):
                if weight >= 0.2:
                    colour = "white" if weight > 0.55 else INK
                    axes.text(column, row, f"{weight:.1f}", ha="center", va="center", fontsize=8, color=colour)
        said.append(f"head {head + 1}: {tokens[int(weights[head].sum(0).argmax())]}")
    figure.supylabel("যে token তাকায়", fontsize=11)
    figure.supxlabel("যার দিকে তাকায়", fontsize=11)
    figure.colorbar(image, ax=figure.axes, shrink=0.5, label="কতটা (প্রতি সারির যোগফল 1)")
    figure.set_label(
        f"attention এর {bn(heads)}টা ছক, প্রতি head এর একটা। সারি মানে যে token তাকায়, column মানে যার দিকে তাকায়, গাঢ় মানে বেশি। "
        f"সবাই মিলে সবচেয়ে বেশি যার দিকে তাকায়, {'; '.join(said)}।"
    )
    return figure


def block() -> Figure:
    """One encoder block from left to right, with the two paths that go around its two halves."""
    figure = Figure(figsize=(9.4, 3.1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 33))
    axes.axis("off")
    steps = [
        (19, BLUE, "attention", "token গুলো একে\nঅন্যের কথা শোনে"),
        (40, GREY, "যোগ + norm", "আগেরটার সঙ্গে\nযোগ, মাপ ঠিক"),
        (62, GREEN, "feed-forward", "প্রতি token এর\nআলাদা হিসাব"),
        (83, GREY, "যোগ + norm", "আগেরটার সঙ্গে\nযোগ, মাপ ঠিক"),
    ]
    for x, colour, name, does in steps:
        axes.add_patch(
            FancyBboxPatch(
                (x - 8, 5),
                16,
                13,
                boxstyle="round,pad=0.3,rounding_size=1.2",
                facecolor=LIGHT,
                edgecolor=colour,
                linewidth=2.2,
            )
        )
        axes.text(x, 14.8, name, ha="center", va="center", fontsize=12.5, weight="bold", color=colour)
        axes.text(x, 9, does, ha="center", va="center", fontsize=9.5, color=INK, linespacing=1.5)
    axes.text(1.5, 11.5, "x", fontsize=14, weight="bold", color=INK, va="center")
    axes.text(95.8, 11.5, "নতুন x", fontsize=11.5, weight="bold", color=INK, va="center")
    for start, end in ((3.6, 10.4), (27.6, 31.4), (48.6, 53.4), (70.6, 74.4), (91.6, 95.4)):
        _arrow(axes, (start, 11.5), (end, 11.5))
    for start, end in ((6, 40), (50.5, 83)):
        axes.plot([start, start, end], [11.5, 26, 26], color=ORANGE, linewidth=1.8)
        _arrow(axes, (end, 26), (end, 18.6), ORANGE)
        axes.text((start + end) / 2, 27.2, "পাশ কাটানো পথ", ha="center", va="bottom", fontsize=10, color=ORANGE)
    figure.set_label(
        "একটা encoder block, বাঁ থেকে ডানে: x ঢোকে attention এ, তারপর যোগ + norm, তারপর feed-forward, আবার যোগ + norm, "
        "বেরোয় নতুন x। দুটো পাশ কাটানো পথ: একটা attention কে, একটা feed-forward কে এড়িয়ে সোজা যোগ + norm এ যায়।"
    )
    return figure


def _arrow(axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8})


def who_sees_whom(found: Mapping[str, Tensor]) -> Figure:
    """A square a model (token, token), true where a change of the column's token reached the row's output."""
    figure = Figure(figsize=(2.3 * len(found), 3.1), layout="constrained")
    said = []
    for place, (name, square) in enumerate(found.items()):
        axes = figure.add_subplot(1, len(found), place + 1)
        axes.imshow(square.int().tolist(), cmap="Greens", vmin=0, vmax=1.4)
        count = len(square)
        axes.set_xticks(range(count), [str(number) for number in range(1, count + 1)])
        axes.set_yticks(range(count), [str(number) for number in range(1, count + 1)])
        axes.set_xticks([number - 0.5 for number in range(count + 1)], minor=True)
        axes.set_yticks([number - 0.5 for number in range(count + 1)], minor=True)
        axes.grid(which="minor", color=INK, linewidth=0.6)
        axes.tick_params(which="both", length=0)
        axes.set_title(name, fontsize=11.5, weight="bold", color=INK)
        later = square.triu(1).any()
        said.append(f"{name}: {'দুদিকের সব token' if later else 'নিজের আর আগের token'}")
    figure.supxlabel("কোন token বদলালাম", fontsize=10.5)
    figure.supylabel("কার output বদলাল", fontsize=10.5)
    figure.set_label(f"প্রতি model এর একটা ছক, সবুজ ঘর মানে column এর token বদলালে সারির output বদলায়। {'; '.join(said)}।")
    return figure


def library_and_architecture() -> Figure:
    """Two circles that overlap: what the library holds, and what is a Transformer."""
    figure = Figure(figsize=(8.6, 4.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 49))
    axes.axis("off")
    for x, colour in ((36, BLUE), (64, GREEN)):
        axes.add_patch(Ellipse((x, 22), 62, 36, facecolor=colour, alpha=0.13))
        axes.add_patch(Ellipse((x, 22), 62, 36, fill=False, edgecolor=colour, linewidth=2.2))
    axes.text(29, 44.5, "transformers library", ha="center", fontsize=13, weight="bold", color=BLUE)
    axes.text(71, 44.5, "Transformer architecture", ha="center", fontsize=13, weight="bold", color=GREEN)
    for x, text in (
        (19, "ResNet\nMamba"),
        (50, "BERT\nGPT-2, gpt-oss\nT5\nLLaMA"),
        (81, "তোমার হাতের block\ntorch এর layer\nllama.cpp"),
    ):
        axes.text(x, 22, text, ha="center", va="center", fontsize=11.5, color=INK, linespacing=1.9)
    figure.set_label(
        "দুটো বৃত্ত, মাঝখানে মেলা। বাঁয়েরটা transformers library, ডানেরটা Transformer architecture। শুধু library তে: ResNet, Mamba। "
        "দুটোতেই: BERT, GPT-2, gpt-oss, T5, LLaMA। শুধু architecture এ: তোমার হাতের block, torch এর layer, llama.cpp।"
    )
    return figure
