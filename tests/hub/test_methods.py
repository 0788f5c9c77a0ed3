"""The table of what the Hub serves is what the code says now, and it does not lie."""

from pathlib import Path

import pytest
from huggingface_hub.errors import HfHubHTTPError
from typer.testing import CliRunner

from utils.hub.cli import app

DOCS = Path(__file__).parents[2] / "docs" / "hub-methods.md"


@pytest.fixture(scope="module")
def marks() -> dict[str, str]:
    """Method → ✓, ◐ or ✗, as the docs say."""
    rows = (line.split("|") for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `"))
    return {row[1].strip(" `"): row[2].strip() for row in rows}


def test_the_docs_are_made_from_the_code(tmp_path):
    made = CliRunner().invoke(app, ["methods", "--out", str(tmp_path / "made.md")])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "made.md").read_text(encoding="utf-8") == DOCS.read_text(encoding="utf-8"), (
        "run `pathshala hub methods`"
    )


def test_it_covers_the_client(marks):
    assert len(marks) > 150
    served = {method for method, mark in marks.items() if mark == "✓"}
    assert {
        "whoami",
        "list_models",
        "create_commit",
        "hf_hub_download",
        "snapshot_download",
        "list_repo_tree",
    } <= served
    assert {"create_pull_request", "merge_pull_request", "grant_access", "add_collection_item", "copy_files"} <= served


def test_what_it_says_is_not_served_is_refused(api, marks, untouched):
    calls = {
        "list_jobs": lambda: list(api.list_jobs(namespace="rahim")),
        "list_webhooks": api.list_webhooks,
        "bucket_info": lambda: api.bucket_info("rahim/bucket"),
        "list_user_followers": lambda: list(api.list_user_followers("rahim")),
        "paper_info": lambda: api.paper_info("2307.09288"),
    }
    for method, call in calls.items():
        assert marks[method] == "✗"
        with pytest.raises(HfHubHTTPError) as refused:
            call()
        assert refused.value.response.status_code == 501
