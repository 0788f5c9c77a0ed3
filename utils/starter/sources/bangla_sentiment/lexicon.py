"""Reads the hand-written lexicon: words, phrases and short clauses by feeling and role, some for one domain only."""

import re
from pathlib import Path

from utils.starter.sources.common.text import nfc

HERE = Path(__file__).parent
POSITIVE, NEGATIVE, NEUTRAL = "+", "-", "0"
NAMES = {POSITIVE: "positive", NEGATIVE: "negative", NEUTRAL: "neutral"}
DOMAINS = (
    *("food", "gadget", "app", "shop", "ride", "staff", "media", "sport"),
    *("place", "weather", "office", "study", "life"),
)


def lines(path: Path) -> list[str]:
    """The lines of a hand-written file, NFC, without comments and empty ones."""
    found = nfc(path.read_text(encoding="utf-8")).splitlines()
    return [line.rstrip() for line in found if line.strip() and not line.startswith("#")]


def load() -> dict[str, dict[str, list[str]]]:
    """{"+", "-", "0"} → {role or role_domain: entries}; "[role: food ride]" stands for role_food and role_ride."""
    lexicon: dict[str, dict[str, list[str]]] = {}
    for sign, name in NAMES.items():
        roles = lexicon.setdefault(sign, {})
        for line in lines(HERE / "lexicon" / f"{name}.txt"):
            if heading := re.fullmatch(r"\[(\w+)(?:: ([\w ]+))?\]", line):
                role, domains = heading.groups()
                names = [f"{role}_{domain}" for domain in domains.split()] if domains else [role]
            else:
                for role in names:
                    roles.setdefault(role, []).extend(entry.strip() for entry in line.split(",") if entry.strip())
    return lexicon
