"""What the tests of the starter repos share: what was said while a model loaded, and its figures, measured once."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from tests.hub.conftest import RunningHub, make_people
from utils.starter.build import Figure, check


@contextmanager
def heard() -> Iterator[list[str]]:
    """All warnings of transformers and of Python from here to the block's end."""
    from transformers import logging as transformers_logging

    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logger = transformers_logging.get_logger("transformers")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield said
    finally:
        logger.removeHandler(handler)
        # A socket that an earlier test left open is closed whenever Python comes to it.
        said += [str(warning.message) for warning in caught if warning.category is not ResourceWarning]


@cache
def measured(name: str) -> dict[str, Figure]:
    """The figures of a shipped repo, beside those on its card."""
    return {figure.name: figure for figure in check(name)}


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Iterator[RunningHub]:
    """A Hub as `pathshala hub serve` starts it, born with all starters."""
    data = tmp_path_factory.mktemp("starters") / "data"
    make_people(data)
    running = RunningHub.start(data)
    yield running
    running.stop()
