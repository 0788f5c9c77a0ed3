"""The pictures of the chapters, drawn with matplotlib so that they speak Bangla and need no file.

Each figure's label is its description in words, which `show` gives to those who cannot see it.
"""

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

INK, LIGHT = "#22313f", "#f4f6f7"
BLUE, GREEN, ORANGE, GREY = "#2f6db5", "#25784a", "#b45f06", "#55636f"


def ecosystem() -> Figure:
    """The Hub in the middle, what people reach it with around it, and which known tool each part resembles."""
    figure = Figure(figsize=(8.6, 4.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 56))
    axes.axis("off")
    _box(axes, 50, 27, 30, 18, BLUE, "Hub", "model · dataset · Space\nসবার git repo", "GitHub আর Docker Hub এর মতো")
    parts = [
        (17, 43, GREEN, "transformers · diffusers", "model এনে চালায়", "npm এর মতো"),
        (83, 43, GREEN, "datasets", "data এনে দেয়", "npm এর মতো"),
        (17, 10, ORANGE, "Spaces", "code push করলে demo চালু", "Vercel এর মতো"),
        (83, 10, ORANGE, "Inference", "model চালায় ওদের server এ", "API call করলেই উত্তর"),
    ]
    for x, y, colour, name, does, like in parts:
        side = 1 if x < 50 else -1
        axes.annotate(
            "",
            xy=(50 - side * 15.5, 27 + (6 if y > 27 else -6)),
            xytext=(x + side * 15.5, y),
            arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.6, "connectionstyle": "arc3"},
        )
        _box(axes, x, y, 30, 15, colour, name, does, like)
    figure.set_label(
        "মাঝখানে Hub: model, dataset আর Space এর git repo, GitHub আর Docker Hub এর মতো। চারপাশে চারটা বাক্স, সবার তীর "
        "Hub এর দিকে: transformers ও diffusers (npm এর মতো), datasets (npm এর মতো), Spaces (Vercel এর মতো) আর "
        "Inference (API call করলেই উত্তর)।"
    )
    return figure


def _box(axes, x: float, y: float, width: float, height: float, colour: str, name: str, does: str, like: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0.3,rounding_size=1.5",
            facecolor=LIGHT,
            edgecolor=colour,
            linewidth=2.2,
        )
    )
    axes.text(x, y + height / 2 - 3.2, name, ha="center", va="center", fontsize=13, weight="bold", color=colour)
    axes.text(x, y - 0.4, does, ha="center", va="center", fontsize=10.5, color=INK, linespacing=1.5)
    axes.text(x, y - height / 2 + 2.2, like, ha="center", va="center", fontsize=9.5, color=GREY)


def sentiment_bars(texts: list[str], results: list[dict]) -> Figure:
    """One bar a sentence, as long as its score; the colour is the label. `results` is what a pipeline returned."""
    figure = Figure(figsize=(8, 0.62 * len(texts) + 1.1))
    axes = figure.add_subplot()
    colours = {"POSITIVE": GREEN, "NEGATIVE": ORANGE}
    for row, (_text, result) in enumerate(zip(texts, results, strict=True)):
        axes.barh(row, result["score"], color=colours[result["label"]], height=0.62)
        axes.text(0.015, row, f"{result['label']}  {result['score']:.4f}", va="center", color="white", fontsize=10)
    axes.set_yticks(range(len(texts)), texts, fontsize=11)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("score: model কতটা নিশ্চিত (উত্তর ঠিক কি না, তা না)")
    axes.axvline(0.5, color=INK, linestyle=":", linewidth=1.2)
    axes.spines[["top", "right"]].set_visible(False)
    said = "; ".join(f"{text}: {r['label']} {r['score']:.2f}" for text, r in zip(texts, results, strict=True))
    figure.set_label(f"প্রতি বাক্যে একটা বার, score এর সমান লম্বা। {said}। 0.5 এ একটা ফোঁটা ফোঁটা দাগ।")
    return figure
