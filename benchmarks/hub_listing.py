"""How long a listing takes among many repos: `python benchmarks/hub_listing.py [REPOS]`.

A member of an organisation, who sees some private repos and not others, asks for pages of a hundred over HTTP, as
`list_models` does. The repos are put straight into the database; they share the commit of one real repo, each in a git
repo of its own. Of forty answers to each question the 95th percentile counts. Exits with 1 where one is over 50 ms.
"""

import random
import shutil
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx
from harness import TOKEN, USER, serving
from sqlalchemy import insert

from utils.hub import accounts
from utils.hub.hub import Hub
from utils.hub.tables import Like, Repo, RepoTag, now

MOST = 0.050  # seconds
TIMES = 40
OWNERS, PEOPLE = 100, 200
TASKS = ("text-classification", "fill-mask", "text-generation", "summarization", "translation")
PAGES = {
    "a page": {},
    "the fiftieth page": {"cursor": "4900"},
    "search, one word": {"search": "bangla-77"},
    "search, two words": {"search": "bangla owner-7"},
    "search, nothing": {"search": "nowhere"},
    "author": {"author": "owner-7"},
    "filter, a common tag": {"filter": "language:bn"},
    "filter, a rare tag": {"filter": "rare-7"},
    "filter, a tag that nothing has": {"filter": "nowhere"},
    "filter, two tags": {"filter": ["license:mit", "pytorch"]},
    "task": {"pipeline_tag": "fill-mask"},
    "sort by likes": {"sort": "likes"},
    "sort by downloads": {"sort": "downloads"},
    "sort by created": {"sort": "createdAt"},
    "sort by created, oldest first": {"sort": "createdAt", "direction": "1"},
    "filter, sort by likes": {"filter": "language:bn", "sort": "likes"},
}


def fill(data: Path, count: int) -> None:
    """Makes the owners, the repos with their tags, and the likes."""
    chance, hub = random.Random(0), Hub(data)
    with hub.db() as db:
        rahim = accounts.find(db, USER)
        owners = [accounts.add(db, f"owner-{number}", kind="org") for number in range(OWNERS)]
        for org in owners[:5]:
            accounts.join(db, rahim, org)
        first = hub.create(db, "model", rahim, "first")
        template, sha, today = hub.repos / first.folder, first.sha, now()
        repos, tags = [], []
        for number in range(count):
            owner, name, folder = owners[number % OWNERS], f"bangla-{number}", f"{number:032x}"
            shutil.copytree(template, hub.repos / folder)
            task = chance.choice(TASKS)
            born = today - timedelta(minutes=chance.randrange(1_000_000))
            row = {"id": first.id + 1 + number, "kind": "model", "owner_id": owner.id, "name": name}
            row |= {"key": f"{owner.key}/{name}", "folder": folder, "private": chance.random() < 0.2, "sha": sha}
            row |= {"created_at": born, "last_modified": born + timedelta(minutes=chance.randrange(10_000))}
            row |= {"downloads": chance.randrange(1000), "pipeline_tag": task, "card": {"license": "mit"}, "config": {}}
            repos.append(row)
            common = ["pytorch", "license:mit", f"language:{'bn' if chance.random() < 0.5 else 'en'}", task]
            for place, tag in enumerate([*common, f"rare-{number % 1000}", f"dataset:{number % 300}"]):
                tags.append({"repo_id": row["id"], "tag": tag, "position": place})
        db.execute(insert(Repo), repos)
        db.execute(insert(RepoTag), tags)
        people = [accounts.add(db, f"person-{number}").id for number in range(PEOPLE)]
        likes = [
            {"repo_id": row["id"], "account_id": person, "created_at": today}
            for row in repos
            for person in chance.sample(people, min(int(chance.expovariate(0.3)), PEOPLE))
        ]
        db.execute(insert(Like), likes)
        print(f"{count} repos, {len(tags)} tags, {len(likes)} likes")
    hub.close()


def main(count: int) -> int:
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="hub-listing-") as folder:
        data = Path(folder) / "data"
        with serving(data, fill=lambda: fill(data, count)) as (url, _process):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=url, headers=headers, timeout=None, trust_env=False) as http:
                for what, query in PAGES.items():
                    taken = []
                    for _ in range(TIMES):
                        started = time.perf_counter()
                        answer = http.get("/api/models", params={"limit": 100, **query}).raise_for_status()
                        taken.append(time.perf_counter() - started)
                    middle, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
                    worst = max(worst, p95)
                    print(
                        f"{what:32} {len(answer.json()):4} rows   median {1000 * middle:5.1f} ms   p95"
                        f" {1000 * p95:5.1f} ms   {'met' if p95 <= MOST else 'MISSED'}",
                        flush=True,
                    )
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
