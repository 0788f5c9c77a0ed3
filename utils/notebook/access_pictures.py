"""The picture of the chapter on access: who asked for what, and the status with which the Hub answered."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from utils.notebook.pictures import GREEN, INK, ORANGE

MEANS = {200: "পারে", 401: "কে তুমি?", 403: "তোমার জন্য না", 404: "এমন কিছু নেই"}


def answers(statuses: Mapping[str, Mapping[str, int]]) -> Figure:
    """A table, one row each asker and one column each wish; in it the HTTP status of the Hub's answer, and its sense.

    `statuses` is row → column → status; every row has the same columns.
    """
    columns = list(next(iter(statuses.values())))
    figure = Figure(figsize=(2.2 + 1.75 * len(columns), 0.62 * len(statuses) + 0.8))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1.25, len(columns)), ylim=(len(statuses), -0.9))
    axes.axis("off")
    for x, column in enumerate(columns):
        axes.text(x + 0.5, -0.38, column, ha="center", va="center", fontsize=11, color=INK)
    for y, (row, found) in enumerate(statuses.items()):
        axes.text(-0.08, y + 0.5, row, ha="right", va="center", fontsize=11, weight="bold", color=INK)
        for x, column in enumerate(columns):
            status = found[column]
            colour = GREEN if status < 400 else ORANGE
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=3))
            text = f"{status} · {MEANS.get(status, 'না')}"
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=10, color="white")
    said = "; ".join(
        f"{row}: {', '.join(f'{name} {status}' for name, status in found.items())}" for row, found in statuses.items()
    )
    figure.set_label(f"একটা ছক, প্রতি সারিতে একজন, প্রতি column এ একটা চাওয়া, ঘরে HTTP status। সবুজ মানে পারে। {said}।")
    return figure
