"""A class at work: forty people's clients push and pull for a minute, and nothing is refused or lost."""

import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi

PEOPLE, SECONDS = 40, 60


def work(number: int, url: str, repos: list[str], home: str, until: float, results) -> None:
    """One person: commits a small or a large file to some repo, then reads back what somebody wrote."""
    from huggingface_hub import CommitOperationAdd

    dice, api = random.Random(number), HfApi(endpoint=url, token="hf_rahim_writes")
    done, step = [], 0
    try:
        while time.time() < until:
            step += 1
            repo, name = dice.choice(repos), f"{number}/{step}" + dice.choice([".txt", ".bin"])
            content = dice.randbytes(200_000) if name.endswith(".bin") else f"{number} {step}\n".encode()
            commit = api.create_commit(
                repo_id=repo, operations=[CommitOperationAdd(name, content)], commit_message=f"{number}: {step}"
            )
            done.append((repo, commit.oid, name, content))
            repo, oid, name, content = dice.choice(done)
            # A cache of one's own, as every computer has: the file really travels.
            path = api.hf_hub_download(repo, name, revision=oid, cache_dir=f"{home}/{number}-{step}")
            assert Path(path).read_bytes() == content
            api.list_repo_commits(repo)[0]
        results.put((number, None, done))
    except BaseException as error:
        results.put((number, f"{type(error).__name__}: {error}", done))


@pytest.mark.slow
def test_forty_clients_for_a_minute(hub, new_repo, tmp_path):
    repos = [new_repo() for _ in range(4)]
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["huggingface_hub.hf_api", "huggingface_hub.file_download"])
    results, until = forks.Queue(), time.time() + SECONDS
    people = [
        forks.Process(target=work, args=(number, hub.url, repos, str(tmp_path), until, results))
        for number in range(PEOPLE)
    ]
    for person in people:
        person.start()
    told = [results.get(timeout=SECONDS + 240) for _ in people]
    for person in people:
        person.join()
    assert [error for _, error, _ in told if error] == []

    commits = [commit for _, _, done in told for commit in done]
    assert all(done for _, _, done in told), "somebody never got in"
    api = hub.api("rahim")
    for repo in repos:
        mine = [(oid, name) for where, oid, name, _ in commits if where == repo]
        history = [commit.commit_id for commit in api.list_repo_commits(repo)]
        assert len(history) == len(set(history)) == len(mine) + 1, "one for each, and the first"
        assert {oid for oid, _ in mine} <= set(history)
        assert {name for _, name in mine} <= set(api.list_repo_files(repo))
    print(f"{len(commits)} commits, {os.cpu_count()} cores")
