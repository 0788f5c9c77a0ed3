"""The headers of a sharded model's safetensors files, all in one answer."""

import json

from fastapi import APIRouter

from utils.hub import cards, safetensors
from utils.hub.errors import entry_not_found, unprocessable
from utils.hub.routes.call import InApi, InRepo

router = APIRouter()


@router.get("/api/{kind:kind}/{repo:repo}/safetensors-metadata/{path:path}")
def headers(call: InApi, path: InRepo) -> dict:
    """Of the model whose index lies at `path` in `main`; the index without its `weight_map`, which the headers give."""
    with call.reading_files() as (db, repo), call.hub.git(repo) as git:
        commit = git.resolve("main")
        entry = git.entry(commit, path)
        if entry is None or entry.is_folder:
            raise entry_not_found(path, commit)
        folder = path.rpartition("/")[0]
        try:
            index = json.loads(git.read(entry))
            shards = {"/".join(filter(None, (folder, name))): name for name in safetensors.shards(index)}
            found = call.hub.headers(db, repo, git, commit, shards)
        except (ValueError, RecursionError) as error:
            raise unprocessable(f"{path} is no index of safetensors files: {error}") from error
    about = cards.jsonable({"metadata": index.get("metadata")})
    return {"index": about, "headers": {shards[file]: cards.jsonable(header) for file, header in found.items()}}
