"""The scripts that make the starter repos, by name: build one, or measure what is shipped against its card."""

import importlib
from dataclasses import dataclass
from types import ModuleType

from utils.starter.sources.common.cards import STARTER, figures

SOURCES = STARTER / "sources"
TOLERANCE = 0.006  # another CPU adds in another order: one sentence of two hundred may fall on the other side


class NoSuchStarter(LookupError):
    """No script makes a repo of that name; the message names those that there are."""


@dataclass(frozen=True)
class Figure:
    """One figure of a repo: what its card states (None: nothing) and what was measured now."""

    name: str
    stated: float | None
    measured: float

    @property
    def holds(self) -> bool:
        return self.stated is not None and abs(self.stated - self.measured) <= TOLERANCE * max(1, abs(self.stated))


def names() -> list[str]:
    """The starter repos' names, such as "sentiment-bn"."""
    return sorted(found.parent.name.replace("_", "-") for found in SOURCES.glob("*/build.py"))


def script(name: str) -> ModuleType:
    """The script of a repo: REPO, build() and measure(). Raises NoSuchStarter."""
    if name not in names():
        raise NoSuchStarter(f"{name} নামে কোনো starter repo নেই। আছে: {', '.join(names())}")
    return importlib.import_module(f"utils.starter.sources.{name.replace('-', '_')}.build")


def check(name: str) -> list[Figure]:
    """Measures the shipped repo anew. Raises NoSuchStarter."""
    made_by = script(name)
    stated = figures((STARTER / made_by.REPO / "README.md").read_text(encoding="utf-8"))
    return [Figure(key, stated.get(key), value) for key, value in made_by.measure().items()]
