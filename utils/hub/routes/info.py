"""What the Hub says of a repo: the JSON of an info page and of a row in a listing."""

from sqlalchemy.orm import Session

from utils.hub.git import Entry
from utils.hub.hub import Hub
from utils.hub.inference.tasks import LOADERS
from utils.hub.routes.accounts import iso
from utils.hub.tables import Repo


def row(repo: Repo) -> dict:
    """What every listing shows."""
    shown = {
        "_id": f"{repo.id:024x}",
        "id": repo.full_name,
        "author": repo.owner.name,
        "sha": repo.sha,
        "private": repo.private,
        "gated": repo.gated or False,
        "disabled": False,
        "likes": repo.likes,
        "downloads": repo.downloads,
        "createdAt": iso(repo.created_at),
        "lastModified": iso(repo.last_modified),
        "tags": [tag.tag for tag in repo.tags],
    }
    if repo.kind == "model":
        shown["modelId"] = repo.full_name
        if repo.pipeline_tag:
            shown["pipeline_tag"] = repo.pipeline_tag
        if repo.library_name:
            shown["library_name"] = repo.library_name
    if repo.kind == "dataset":
        shown["description"] = repo.card.get("pretty_name") or ""
    if repo.kind == "space":
        shown["sdk"] = repo.card.get("sdk")
    return shown


def full(repo: Repo, files: list[Entry], *, blobs: bool = False, sha: str | None = None) -> dict:
    """What the repo's own info shows; `sha` is the revision asked for, whose `files` these are."""
    shown = row(repo) | {"sha": sha or repo.sha, "siblings": [sibling(entry, blobs) for entry in files]}
    shown["usedStorage"] = sum(entry.size for entry in files)
    if repo.card:
        shown["cardData"] = repo.card
    if repo.kind == "model":
        if repo.config:
            shown["config"] = repo.config
        if repo.safetensors:
            shown["safetensors"] = repo.safetensors
        if "model-index" in repo.card:
            shown["model-index"] = repo.card["model-index"]
        if mask := repo.config.get("tokenizer_config", {}).get("mask_token"):
            shown["mask_token"] = mask.get("content") if isinstance(mask, dict) else mask
        if repo.pipeline_tag in LOADERS:
            chats = repo.config.get("tokenizer_config", {}).get("chat_template")
            task = "conversational" if repo.pipeline_tag == "text-generation" and chats else repo.pipeline_tag
            mapping = {"status": "live", "providerId": repo.full_name, "task": task}
            shown |= {"inference": "warm", "inferenceProviderMapping": {"hf-inference": mapping}}
    return shown


def sibling(entry: Entry, blobs: bool) -> dict:
    shown: dict = {"rfilename": entry.path}
    if blobs:
        shown |= {"size": entry.size, "blobId": entry.oid}
        if entry.pointer:
            shown["lfs"] = {
                "size": entry.size,
                "sha256": entry.pointer.sha256,
                "pointerSize": entry.pointer_size,
            }
    return shown


def only(shown: dict, fields: list[str]) -> dict:
    """The `expand` option: ids and the named fields, nothing else."""
    return {key: shown.get(key) for key in ("_id", "id", *fields) if key in shown or key in fields}


def of_revision(hub: Hub, _db: Session, repo: Repo, revision: str, *, blobs: bool = False) -> dict:
    """Info of a repo at a branch, tag or commit. Raises HubError 404 RevisionNotFound."""
    with hub.git(repo) as git:
        sha = git.resolve(revision)
        return full(repo, git.files(sha), blobs=blobs, sha=sha)
