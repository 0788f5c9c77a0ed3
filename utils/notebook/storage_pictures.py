"""The pictures of the chapter on large files: where their bytes lie, how they are cut, and how many of them travel."""

from collections.abc import Sequence
from itertools import accumulate

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from utils.notebook.pictures import BLUE, GREEN, GREY, INK, LIGHT, ORANGE


def two_stores() -> Figure:
    """Two versions of a file: in git two pointers, at LFS two whole files, at Xet chunks of which most are shared."""
    figure = Figure(figsize=(9.2, 3.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 40))
    axes.axis("off")
    for x, name, does in (
        (16, "git", "ছোট রসিদ"),
        (50, "Git LFS এর গুদাম", "আস্ত file"),
        (84, "Xet এর গুদাম", "টুকরো, একটা একবারই"),
    ):
        axes.text(x, 36.5, name, ha="center", fontsize=13, weight="bold", color=INK)
        axes.text(x, 32.6, does, ha="center", fontsize=10.5, color=GREY)
    for y, version in ((23, "v1"), (8, "v2")):
        axes.add_patch(Rectangle((9, y - 4), 14, 8, facecolor=LIGHT, edgecolor=BLUE, linewidth=2))
        axes.text(16, y, f"{version}: sha256", ha="center", va="center", fontsize=10.5, color=BLUE)
        axes.add_patch(Rectangle((38, y - 4), 24, 8, facecolor=GREY, edgecolor="white"))
        axes.text(50, y, f"{version}: পুরো file", ha="center", va="center", fontsize=10.5, color="white")
        _arrow(axes, (23.5, y), (37.5, y))
        axes.text(67, y, "বা", ha="center", va="center", fontsize=12, color=INK)
        for place in range(8):
            changed = version == "v2" and place == 3
            if version == "v1" or changed:
                colour = ORANGE if changed else GREEN
                axes.add_patch(Rectangle((72 + 3 * place, y - 4), 2.7, 8, facecolor=colour, edgecolor="white"))
            else:
                box = {"facecolor": "none", "edgecolor": GREEN, "linestyle": ":", "linewidth": 1.3}
                axes.add_patch(Rectangle((72 + 3 * place, y - 4), 2.7, 8, **box))
    axes.text(84, 1.3, "কমলা: নতুন · ফাঁকা: v1 এরটাই", ha="center", fontsize=10, color=INK)
    figure.set_label(
        "একটা file এর দুই সংস্করণ, v1 আর v2। git এ দুটো ছোট রসিদ। Git LFS এর গুদামে দুটো আস্ত file। Xet এর গুদামে v1 "
        "এর আটটা টুকরো, আর v2 এর জন্য শুধু একটা নতুন টুকরো; বাকি সাতটা v1 এরই।"
    )
    return figure


def chunk_strips(rows: Sequence[tuple[str, Sequence[int], Sequence[bool]]]) -> Figure:
    """One strip a file, cut into its chunks. `rows` are (name, sizes in bytes, whether the old file has the chunk)."""
    figure = Figure(figsize=(9.2, 0.85 * len(rows) + 1), layout="constrained")
    axes = figure.add_subplot()
    said = []
    for row, (name, sizes, known) in enumerate(rows):
        starts = [0, *accumulate(sizes)]
        pieces = [(start / 1e6, size / 1e6) for start, size in zip(starts, sizes, strict=False)]
        colours = [GREEN if old else ORANGE for old in known]
        axes.broken_barh(pieces, (row - 0.31, 0.62), facecolors=colours, edgecolors="white", lw=0.7)
        said.append(f"{name}: {len(sizes)} টুকরোর {sum(known)}টা আগের")
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=11)
    axes.invert_yaxis()
    axes.set_xlabel("file এর শুরু থেকে (MB) · সবুজ: আগেই আছে · কমলা: নতুন")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.margins(x=0.01)
    axes.tick_params(axis="y", length=0)
    figure.set_label(f"প্রতি file এ একটা ফিতা, টুকরো টুকরো করা। সবুজ টুকরো আগেই আছে, কমলা নতুন। {'; '.join(said)}।")
    return figure


def sent_bars(rows: Sequence[tuple[str, int, int]]) -> Figure:
    """What Xet sent beside what Git LFS sends: the file. `rows` are (what changed, bytes of the file, bytes sent)."""
    figure = Figure(figsize=(8.6, 0.8 * len(rows) + 1.1), layout="constrained")
    axes = figure.add_subplot()
    for row, (_what, size, sent) in enumerate(rows):
        for shift, share, colour, count in ((-0.19, 100, GREY, size), (0.19, 100 * sent / size, BLUE, sent)):
            axes.barh(row + shift, share, height=0.36, color=colour)
            axes.text(share + 1, row + shift, f"{count / 1e6:.2f} MB", va="center", fontsize=9.5, color=colour)
    axes.set_yticks(range(len(rows)), [what for what, *_ in rows], fontsize=11)
    axes.invert_yaxis()
    axes.set(xlim=(0, 115), xlabel="file এর শতকরা কত ভাগ গেল · ছাই: Git LFS · নীল: Xet")
    axes.spines[["top", "right"]].set_visible(False)
    said = "; ".join(f"{what}: Xet এ {sent / 1e6:.2f} MB" for what, _size, sent in rows)
    figure.set_label(f"প্রতি বদলে দুটো বার: Git LFS এ সব সময় পুরো file, Xet এ শুধু নতুন টুকরো। {said}।")
    return figure


def _arrow(axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.5})
