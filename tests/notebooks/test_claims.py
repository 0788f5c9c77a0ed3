"""What the chapters say of their results is what came out: for each cell named here, the words its prose stands on."""

import re

import pytest

CLAIMS = {
    "02_transformers_pipelines": {
        "ner-pieces": r"\A(.+\n){4}.+\Z",
        "fill-mask": r"0\.9\d+  dhaka",
        "ner-whole": r"PER মিজান .*\nPER ফারহানা .*\nLOC কক্সবাজারে",
        "raw-scores": r"(তফাত 0\.0\n?.*){3}",
        "no-mask": r"(positive|negative) +→ neutral",
        "own": "✓ হুবহু এক",
        "same-answers": "label এক: True",
        "what-is-left": r"(বাদ গেছে\n?.*){4}",
        "ask-chat": "রাজধানী ঢাকা",
    },
    "03_library_vs_architecture": {
        "three-witnesses": r"✓ 1e-5 এর নিচে[\s\S]*✓ 1e-5 এর নিচে",
        "shuffled": r"token ধরে মেলালে তফাত: \d\.\d+e-0[67]",
        "opposites": r"ভালো → positive .*\n.*খারাপ → negative .*\nজায়গা জানে না\n.*(\['0.*\])\n.*\1",
    },
    "04_model_hub": {
        "commit-request": "পুরো commit: .*request ০টা",
        "scores": "সবচেয়ে কম: accuracy_sarcasm",
        "mistyped-search": r"\['pathshala/sentiment-bn'\]",
        "offline": r"config.json → পেয়েছে\n.*LocalEntryNotFoundError",
    },
    "05_login_and_access": {
        "saved-token": "True",
        "compare": r"(404 RepoNotFound \S+ \S+ \S+)[^\n]*\n404 RepoNotFound",
        "wrong-order": "বানান দেখো",
        "accept": r"মালিক: meta",
        "taken-back": r"403\n.*200",
        "cache-gone": "403$",
        "thief": "পাপোশের নিচে",
        "tidy": r"^pathshala · write$",
    },
    "06_not_npm": {
        "one-tensor": "হুবহু এক: True",
        "two-runtimes": r"তফাত: \d\.\d+e-0[67]",
        "without-torch-run": "torch এসেছে: False transformers এসেছে: False",
    },
    "07_git_lfs_and_xet": {
        "by-hand": "হুবহু এক: True",
        "fixed": r"রইল: 0 / ",
        "back": "main আবার v1 এর মতো: True",
        "author": "টুকরোর নতুন [১-৯]টা",
        "steps": r"bfloat16: বদলেছে [1-5]\.\d+%[\s\S]*নতুন +[12] · গেল",
    },
}


@pytest.mark.parametrize(("chapter", "cell"), [(chapter, cell) for chapter, cells in CLAIMS.items() for cell in cells])
def test_it_came_out_as_the_chapter_says(said_in, chapter, cell):
    text = said_in(chapter)[cell].strip()
    assert re.search(CLAIMS[chapter][cell], text), text
