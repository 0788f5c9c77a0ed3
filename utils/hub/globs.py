"""The patterns of .gitattributes and .gitignore (gitignore(5)), matched in linear time, for they can come from anyone.

As one regular expression for the whole path, a pattern like `*a*a*a*a*a*b` may run for years.
"""

import fnmatch
import re

from dulwich.attrs import parse_git_attributes

MOST_LINES = 1000  # of one file that are read
NOTHING = re.compile("(?!)")


class Glob:
    """One pattern, compared folder by folder; `**` stands for any number of them."""

    def __init__(self, pattern: str):
        parts = pattern.strip("/").split("/")
        if len(parts) == 1 and not pattern.startswith("/"):
            parts = ["**", *parts]  # a name without a slash counts at any depth
        if parts[-1] == "**":
            parts.append("*")
        self._parts = [None if part == "**" else re.compile(fnmatch.translate(_plain(part))) for part in parts]
        # Most patterns are of this kind, and at every commit each is held against each path.
        self._name = self._parts[1] if len(parts) == 2 and parts[0] == "**" else None

    def matches(self, path: list[str]) -> bool:
        if self._name is not None:
            return self._name.match(path[-1]) is not None
        at, here, stars, resume = 0, 0, None, 0
        while here < len(path):
            part = self._parts[at] if at < len(self._parts) else NOTHING
            if part is None:
                stars, resume, at = at, here, at + 1
            elif part.match(path[here]):
                at, here = at + 1, here + 1
            elif stars is not None:  # the last `**` takes in one folder more
                resume += 1
                at, here = stars + 1, resume
            else:
                return False
        return at == len(self._parts)


def _plain(part: str) -> str:
    """In fnmatch's spelling: no backslash, `!` alone negates. git-lfs writes a space as `[[:space:]]`."""
    part = part.replace("[[:space:]]", "[ ]").replace("[^", "[!")
    return re.sub(r"\\(.)", lambda escaped: f"[{escaped[1]}]" if escaped[1] in "*?[" else escaped[1], part)


class Attributes:
    """Which paths a .gitattributes file sends to large-file storage; of two lines the later one counts."""

    def __init__(self, content: bytes):
        lines = parse_git_attributes(content.splitlines()[:MOST_LINES])
        self._rules = [
            (Glob(pattern.decode(errors="replace")), attributes[b"filter"] == b"lfs")
            for pattern, attributes in lines
            if b"filter" in attributes and not pattern.endswith(b"/")  # files only have attributes
        ][::-1]

    def large(self, path: str) -> bool:
        parts = path.split("/")
        return next((large for glob, large in self._rules if glob.matches(parts)), False)


class Ignored:
    """Which paths a .gitignore file leaves out; what lies in a folder that is left out cannot be brought back."""

    def __init__(self, content: bytes):
        lines = (line.rstrip() for line in content.decode(errors="replace").splitlines()[:MOST_LINES])
        rules = [line for line in lines if line.strip("!/") and not line.startswith("#")]
        # (glob, ignores, folders only), the last rule first
        self._rules = [
            (Glob(rule.removeprefix("!").removesuffix("/")), not rule.startswith("!"), rule.endswith("/"))
            for rule in reversed(rules)
        ]

    def __contains__(self, path: str) -> bool:
        parts = path.split("/")
        return any(self._left_out(parts[:depth], depth < len(parts)) for depth in range(1, len(parts) + 1))

    def _left_out(self, parts: list[str], is_folder: bool) -> bool:
        found = (out for glob, out, folders in self._rules if (is_folder or not folders) and glob.matches(parts))
        return next(found, False)
