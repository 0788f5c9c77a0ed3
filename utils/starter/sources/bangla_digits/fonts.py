"""The fonts whose digits are drawn: fetched by package name and version, and split by family."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

OFL = "OFL-1.1"
GPL = "GPL with font exception"
WEIGHTS = "*-bengali-[3-9]00-normal.woff"  # thinner than 300, a stroke is lost in 32 pixels


class Missing(SystemExit):
    """A tool or a package that the build needs is not here: the build ends with one line that says which."""


@dataclass(frozen=True)
class Family:
    """One family of fonts: its package (npm's begin with @), and the files in it, a weight each."""

    name: str
    split: str
    licence: str
    package: str
    version: str
    files: str


# The outline of ১ is broken in the weights of Hind Siliguri between 300 and 700.
FAMILIES = (
    Family("Noto Sans Bengali", "train", OFL, "@fontsource/noto-sans-bengali", "5.3.0", WEIGHTS),
    Family("Noto Serif Bengali", "train", OFL, "@fontsource/noto-serif-bengali", "5.3.0", WEIGHTS),
    Family("Anek Bangla", "train", OFL, "@fontsource/anek-bangla", "5.0.18", WEIGHTS),
    Family("Atma", "train", OFL, "@fontsource/atma", "5.3.0", WEIGHTS),
    Family("Baloo Da 2", "train", OFL, "@fontsource/baloo-da-2", "5.3.0", WEIGHTS),
    Family("Mina", "train", OFL, "@fontsource/mina", "5.3.0", WEIGHTS),
    Family("Lohit Bengali", "train", OFL, "fonts-lohit-beng-bengali", "2.91.5-3", "Lohit-Bengali.ttf"),
    Family("Mukti", "train", GPL, "fonts-beng-extra", "3.2.1-1", "Mukti*.ttf"),
    Family("Mitra", "train", GPL, "fonts-beng-extra", "3.2.1-1", "MitraMono.ttf"),
    Family("FreeSans", "train", GPL, "fonts-freefont-ttf", "20120503-10", "FreeSans.ttf"),
    Family("FreeSerif", "train", GPL, "fonts-freefont-ttf", "20120503-10", "FreeSerif.ttf"),
    Family("Galada", "validation", OFL, "@fontsource/galada", "5.2.8", "*-bengali-400-normal.woff"),
    Family("Ani", "validation", GPL, "fonts-beng-extra", "3.2.1-1", "Ani.ttf"),
    Family("Alkatra", "test", OFL, "@fontsource/alkatra", "5.2.8", WEIGHTS),
    Family("Hind Siliguri", "test", OFL, "@fontsource/hind-siliguri", "5.3.0", "*-bengali-[37]00-normal.woff"),
    Family("Tiro Bangla", "test", OFL, "@fontsource/tiro-bangla", "5.3.0", "*-bengali-400-normal.woff"),
)


@contextmanager
def fetched(*splits: str) -> Iterator[dict[str, list[Path]]]:
    """{family: its font files} of the splits, in a temporary folder. Raises Missing."""
    wanted = [family for family in FAMILIES if family.split in splits]
    with TemporaryDirectory(prefix="fonts-") as temporary:
        folders = {}
        for number, (package, version) in enumerate(dict.fromkeys((one.package, one.version) for one in wanted)):
            folders[package] = Path(temporary, str(number))
            folders[package].mkdir()
            (npm if package.startswith("@") else debian)(package, version, folders[package])
        files = {one.name: sorted(folders[one.package].rglob(one.files)) for one in wanted}
        if lost := [name for name, found in files.items() if not found]:
            raise Missing(f"no font files of {', '.join(lost)} in their packages")
        yield files


def npm(package: str, version: str, folder: Path) -> None:
    run("npm", "pack", "--silent", f"{package}@{version}", folder=folder)
    (packed,) = folder.glob("*.tgz")
    shutil.unpack_archive(packed, folder, filter="data")


def debian(package: str, version: str, folder: Path) -> None:
    run("apt-get", "-q", "download", f"{package}={version}", folder=folder)
    (packed,) = folder.glob("*.deb")
    run("dpkg-deb", "-x", packed.name, ".", folder=folder)


def run(tool: str, *arguments: str, folder: Path) -> None:
    if not shutil.which(tool):
        raise Missing(f"{tool} is not installed: the fonts come by it")
    done = subprocess.run([tool, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [""]
        raise Missing(f"{tool} {' '.join(arguments)} failed: {said[-1]}")
