"""What models may take of the machine: one that is too slow, too big or forgotten is ended, and the next one answers.

The pool itself is asked here, with limits that no test could wait for otherwise.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from utils.hub.errors import HubError
from utils.hub.inference.pool import Limits, Pool

pytestmark = pytest.mark.slow
LONG = {"inputs": "ঢাকা", "parameters": {"max_new_tokens": 1000}}
SHORT = {"inputs": "ঢাকা", "parameters": {"max_new_tokens": 1}}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run(
        [sys.executable, Path(__file__).with_name("tiny_models.py"), folder], check=True, capture_output=True
    )
    # With room for a thousand tokens, which take it seconds.
    config = folder / "text-generation" / "config.json"
    config.write_text(config.read_text().replace('"max_position_embeddings": 256', '"max_position_embeddings": 4096'))
    return folder


@pytest.fixture
def pool(tmp_path) -> Iterator[Callable[..., Pool]]:
    made = []

    def make(**limits) -> Pool:
        made.append(Pool(tmp_path / f"pool-{len(made)}", Limits(**limits)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ask(pool: Pool, models: Path, question: dict, task: str = "text-generation") -> dict:
    def bring(folder: Path) -> None:
        shutil.copytree(models / task, folder, dirs_exist_ok=True)

    *_events, last = pool.ask((1, "commit", task), task, bring, question, wait=True)
    return last


def processes(pool: Pool) -> list[psutil.Process]:
    return [psutil.Process(model.process.pid) for model in pool._models.values()]


def test_who_takes_too_long_is_ended_and_the_next_question_is_answered(pool, models):
    slow = pool(seconds=0.5)
    assert ask(slow, models, SHORT)["result"]["tokens"] == 1
    (worker,) = processes(slow)
    with pytest.raises(HubError) as refused:
        ask(slow, models, LONG)
    assert refused.value.status == 504
    worker.wait(10)
    assert ask(slow, models, SHORT)["result"]["tokens"] == 1


def test_who_takes_too_much_memory_is_ended(pool, models):
    assert ask(pool(), models, LONG)["result"]["tokens"] == 1000
    small = pool(memory=60 << 20)
    with pytest.raises(HubError) as refused:
        for _ in range(50):
            ask(small, models, LONG)
    assert refused.value.status in (422, 500), refused.value.message  # a MemoryError, or what torch makes of it


def test_who_is_asked_nothing_leaves_memory(pool, models):
    restless = pool(idle=1)
    ask(restless, models, SHORT)
    (worker,) = processes(restless)
    worker.wait(20)
    deadline = time.monotonic() + 5
    while restless.loaded() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert restless.loaded() == []
    assert not list(restless.folder.iterdir())
