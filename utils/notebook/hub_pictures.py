"""The pictures of the chapter on the Hub: what the cache keeps on disk, drawn from a real folder."""

from pathlib import Path

from matplotlib.figure import Figure

from utils.notebook.pictures import BLUE, GREEN, GREY, INK, LIGHT, ORANGE

COLUMNS = ((9, "refs", "নাম → commit"), (40, "snapshots", "commit → file এর নাম"), (87, "blobs", "আসল byte"))


def cache_map(folder: Path) -> Figure:
    """One repo's folder of the client's cache: each name, each file of each snapshot, each blob, and who points where.

    A blob that several snapshots share stands out.
    """
    refs = {ref.name: ref.read_text().strip() for ref in sorted((folder / "refs").rglob("*")) if ref.is_file()}
    snapshots = {
        snapshot.name: {
            file.relative_to(snapshot).as_posix(): file.resolve()
            for file in sorted(snapshot.rglob("*"))
            if file.is_file()
        }
        for snapshot in sorted((folder / "snapshots").iterdir())
    }
    blobs = list(dict.fromkeys(blob for files in snapshots.values() for blob in files.values()))
    uses = {blob: sum(blob in files.values() for files in snapshots.values()) for blob in blobs}
    rows = sum(len(files) + 2 for files in snapshots.values())

    figure = Figure(figsize=(9.2, 0.36 * rows + 1.1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(rows + 0.4, -2.6))
    axes.axis("off")
    for x, name, does in COLUMNS:
        axes.text(x, -1.8, name, ha="center", fontsize=13, weight="bold", color=INK)
        axes.text(x, -0.9, does, ha="center", fontsize=10, color=GREY)
    step = (rows - 1) / max(1, len(blobs))
    heights = {blob: (place + 0.6) * step for place, blob in enumerate(blobs)}
    row = 0.6
    for commit, files in snapshots.items():
        _label(axes, 40, row, commit[:7], BLUE, weight="bold")
        for height, name in enumerate(sorted(name for name, target in refs.items() if target == commit)):
            _label(axes, 9, row + height, name, BLUE)
            _arrow(axes, (14, row + height), (34.5, row), BLUE)
        for place, (name, blob) in enumerate(files.items(), start=1):
            axes.text(40, row + place, name, ha="center", va="center", fontsize=10, color=INK)
            _arrow(axes, (53, row + place), (76, heights[blob]), ORANGE if uses[blob] > 1 else GREY)
        row += len(files) + 2
    for blob, height in heights.items():
        text = f"{blob.name[:7]}…  {blob.stat().st_size / 1000:,.1f} kB"
        _label(axes, 87, height, text, ORANGE if uses[blob] > 1 else GREEN)
    shared = [name for name, blob in next(iter(snapshots.values())).items() if uses[blob] > 1]
    figure.set_label(
        f"তিনটা ঘর, বাঁ থেকে ডানে: refs, snapshots, blobs। refs এর প্রতিটা নাম ({', '.join(refs)}) থেকে তীর যায় একটা "
        f"commit এ। প্রতি commit এর নিচে file এর নাম, প্রতিটা থেকে তীর একটা blob এ, পাশে তার মাপ। একাধিক commit যে "
        f"blob ভাগ করে, সেটা কমলা: {', '.join(shared) or 'একটাও না'}।"
    )
    return figure


def _label(axes, x: float, y: float, text: str, colour: str, weight: str = "normal") -> None:
    box = {"boxstyle": "round,pad=0.28", "facecolor": LIGHT, "edgecolor": colour, "linewidth": 1.4}
    axes.text(x, y, text, ha="center", va="center", fontsize=10, color=colour, weight=weight, bbox=box)


def _arrow(axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.2})
