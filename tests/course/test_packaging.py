"""pyproject.toml, requirements.txt and environment.yml say the same, and none of them holds an address."""

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

COURSE = Path(__file__).parents[2]
PROJECT = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))
PINS = [Requirement(line) for line in (COURSE / "requirements.txt").read_text(encoding="utf-8").splitlines()]


def wanted() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    return [Requirement(line) for group in (PROJECT["project"]["dependencies"], *extras) for line in group]


def test_every_dependency_is_pinned_within_its_range():
    pins: dict[str, list[str]] = {}
    for pin in PINS:
        (exact,) = pin.specifier
        assert exact.operator == "==", pin
        pins.setdefault(canonicalize_name(pin.name), []).append(exact.version)
    for requirement in wanted():
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in requirements.txt"
        assert all(requirement.specifier.contains(version) for version in versions), (requirement, versions)


def test_every_range_has_a_floor():
    """A fresh resolution for an old Python must not fall back to releases that the course never ran with."""
    fonts = {"fontpkg-hind-siliguri"}  # data, no code
    loose = [
        str(requirement) for requirement in wanted() if not requirement.specifier and requirement.name not in fonts
    ]
    assert loose == []


def test_the_build_backend_is_pinned_so_that_an_install_needs_no_network():
    backend = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in PINS}
    assert all(requirement.specifier.contains(pinned[requirement.name]) for requirement in backend)


def test_conda_gets_the_same_pins_and_the_same_pythons():
    environment = yaml.safe_load((COURSE / "environment.yml").read_text(encoding="utf-8"))
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.txt", "-e ."]
    assert "pip" in plain
    (python,) = [Requirement(entry) for entry in plain if entry.startswith("python")]
    assert python.specifier == SpecifierSet(PROJECT["project"]["requires-python"])


def test_uv_does_not_manage_the_project():
    """Else `uv run` writes a lock file with download addresses and installs what it likes."""
    assert PROJECT["tool"]["uv"] == {"managed": False}
    assert not (COURSE / "uv.lock").exists()


def test_no_address_of_a_registry():
    for name in ("pyproject.toml", "requirements.txt", "environment.yml"):
        text = (COURSE / name).read_text(encoding="utf-8")
        assert "://" not in text and "index-url" not in text and "find-links" not in text
