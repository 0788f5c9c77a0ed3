"""Instant feedback in a chapter's "নিজে করো" cells."""


def check(ok: object, right: str, look: str) -> bool:
    """Prints `right` when `ok` is true, else `look`: what to look at, not the answer. Returns whether it was."""
    print(f"✓ {right}" if ok else f"✗ {look}")
    return bool(ok)
