"""The pictures of the chapter on weights against code: a safetensors file from left to right, and time against size."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from utils.notebook.pictures import BLUE, GREEN, GREY, INK, ORANGE


def layout() -> Figure:
    """The three parts of a safetensors file, and from where its offsets count. Not to scale."""
    figure = Figure(figsize=(9.2, 2.5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 27))
    axes.axis("off")
    parts = [
        (2, 15, ORANGE, "8 byte", "JSON কত লম্বা"),
        (17, 33, BLUE, "JSON header", "নাম, dtype, shape, offset"),
        (50, 48, GREEN, "সংখ্যা, সংখ্যা, সংখ্যা …", "সব tensor পরপর, মাঝে কোনো ফাঁক নেই"),
    ]
    for x, width, colour, name, does in parts:
        axes.add_patch(Rectangle((x, 11), width, 12, facecolor=colour, edgecolor="white", linewidth=2))
        axes.text(x + width / 2, 18.6, name, ha="center", va="center", color="white", fontsize=12, weight="bold")
        axes.text(x + width / 2, 14, does, ha="center", va="center", color="white", fontsize=9.5)
    for x, words, colour in ((2, "file এর শুরু", GREY), (50, "offset 0 এখানে: 8 + JSON এর দৈর্ঘ্য", INK)):
        axes.annotate(
            words,
            xy=(x, 11),
            xytext=(x, 3.5),
            ha="left",
            va="center",
            fontsize=10.5,
            color=colour,
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.6, "relpos": (0, 0.5)},
        )
    figure.set_label(
        "safetensors file বাঁ থেকে ডানে তিন ভাগ: আগে 8 byte, তাতে লেখা JSON কত লম্বা; তারপর JSON header; তারপর সব "
        "tensor এর সংখ্যা। offset 0 হলো JSON যেখানে শেষ।"
    )
    return figure


def speed(rows: Sequence[tuple[str, int, float]]) -> Figure:
    """Seconds of one pass against the number of parameters, one line a device; both axes grow by tens.

    `rows` are (device, parameters, seconds).
    """
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    said = []
    for device in sorted({row[0] for row in rows}):
        points = [(count / 1e6, took * 1000) for name, count, took in rows if name == device]
        colour = {"cpu": BLUE, "cuda": GREEN}[device]
        axes.plot(*zip(*points, strict=True), "o-", color=colour, lw=2)
        name = {"cpu": "CPU", "cuda": "GPU"}[device]
        axes.text(*points[-1], f"  {name}", color=colour, fontsize=12, va="center")
        said.append(f"{name}: " + ", ".join(f"{count:.1f} M এ {took:.1f} ms" for count, took in points))
    axes.set(xscale="log", yscale="log", xlabel="parameter (M = দশ লাখ)", ylabel="একবার চালাতে সময় (ms)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.margins(x=0.12)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.set_label(f"parameter বাড়লে একবার চালানোর সময়ও বাড়ে। {'; '.join(said)}।")
    return figure
