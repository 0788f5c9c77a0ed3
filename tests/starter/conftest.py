"""What the tests of the starter repos share: what was said while a model loaded, and its figures, measured once."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

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
