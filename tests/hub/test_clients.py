"""The Hub's real clients, each as it is used: nothing in them knows that this is not huggingface.co."""

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitScheduler, HfFileSystem

HF = Path(sys.executable).with_name("hf")


Run = Callable[..., subprocess.Popen]


def output(process: subprocess.Popen) -> str:
    """What a client printed, once it is done."""
    said, complaints = process.communicate(timeout=300)
    assert process.returncode == 0, said + complaints
    return said


@pytest.fixture(scope="module")
def run(hub, tmp_path_factory) -> Iterator[Run]:
    """Starts Python code, or the `hf` command, as a process of rahim's in a folder and home of its own."""
    started = []

    def run(*command: str | Path, code: str = "") -> subprocess.Popen:
        folder = tmp_path_factory.mktemp("client")
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)] if code else [HF, *command],
            env=hub.environment("rahim", folder / "home") | {"PYTHONWARNINGS": "ignore"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()


@pytest.fixture(scope="module", autouse=True)
def with_datasets(run) -> subprocess.Popen:
    """Pushed in parquet shards with a card, loaded back, streamed; two configurations.

    Started before all tests here and looked at after them: most of its time goes into imports.
    """
    return run(
        code="""
        from datasets import Dataset, DatasetDict, get_dataset_config_names, load_dataset
        rows = [{"text": f"বাক্য {i}", "label": i % 2} for i in range(200)]
        parts = DatasetDict(train=Dataset.from_list(rows[:180]), test=Dataset.from_list(rows[180:]))
        parts.push_to_hub("rahim/sentences", num_shards={"train": 3, "test": 1})
        parts.push_to_hub("rahim/sentences", "small", commit_message="more")
        back = load_dataset("rahim/sentences", "default")
        assert back["train"].to_list() == rows[:180] and back["test"].to_list() == rows[180:]
        streamed = load_dataset("rahim/sentences", "default", split="train", streaming=True)
        assert list(streamed.take(5)) == rows[:5]
        assert set(get_dataset_config_names("rahim/sentences")) == {"default", "small"}
        """
    )


def test_the_hf_command(api, run, tmp_path):
    assert "rahim" in output(run("auth", "whoami"))
    folder = tmp_path / "মডেল"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "weights.bin").write_bytes(b"\0" * 1000)
    output(run("upload", "rahim/by-hand", folder, "--private", "--commit-message", "by hand"))
    assert api.model_info("rahim/by-hand").private
    assert api.list_repo_commits("rahim/by-hand")[0].title == "by hand"
    output(run("repos", "tag", "create", "rahim/by-hand", "v1"))
    output(run("download", "rahim/by-hand", "--revision", "v1", "--local-dir", tmp_path / "back"))
    assert (tmp_path / "back" / "sub" / "weights.bin").read_bytes() == bytes(1000)


def test_snapshots_share_what_did_not_change(api, new_repo, tmp_path):
    """The cache links blobs by ETag: the same ETag for the same content, also in another revision."""
    repo = new_repo()
    for path, content in (("a.txt", b"a"), ("w.bin", b"\0w"), ("d/ক.txt", b"k")):
        api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=content)
    first = Path(api.snapshot_download(repo, cache_dir=tmp_path))
    api.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=b"changed")
    second = Path(api.snapshot_download(repo, cache_dir=tmp_path, allow_patterns=["*.txt", "*.bin"]))
    assert first != second and second.name == api.model_info(repo).sha
    assert (second / "w.bin").resolve() == (first / "w.bin").resolve()
    assert ((first / "a.txt").read_bytes(), (second / "a.txt").read_bytes()) == (b"a", b"changed")
    old = api.snapshot_download(repo, cache_dir=tmp_path, revision=first.name, local_files_only=True)
    assert Path(old) == first


def test_an_interrupted_download_goes_on_where_it_broke_off(hub, api, new_repo, tmp_path):
    """The client asks for the rest with `Range`, and finds the same bytes behind the same ETag."""
    repo, content = new_repo(), bytes(range(256)) * 20_000
    api.upload_file(repo_id=repo, path_in_repo="w.bin", path_or_fileobj=b"\0" + content)
    etag = api.get_paths_info(repo, ["w.bin"])[0].lfs.sha256
    blobs = tmp_path / f"models--{repo.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag}.incomplete").write_bytes((b"\0" + content)[:1_000_000])
    assert Path(api.hf_hub_download(repo, "w.bin", cache_dir=tmp_path)).read_bytes() == b"\0" + content


def test_the_file_system(hub, new_repo):
    files = HfFileSystem(endpoint=hub.url, token="hf_rahim_writes")
    repo = new_repo("dataset")
    root = f"datasets/{repo}"
    for path, content in (("data/ক.csv", b"a,b\n1,2\n"), ("data/large.parquet", bytes(200_000)), ("x", b"x")):
        with files.open(f"{root}/{path}", "wb") as file:
            file.write(content)
    assert files.glob(f"{root}/**/*.csv") == [f"{root}/data/ক.csv"]
    assert sorted(Path(path).name for path in files.find(root)) == [".gitattributes", "large.parquet", "x", "ক.csv"]
    assert files.info(f"{root}/data/large.parquet")["size"] == 200_000
    with files.open(f"{root}/data/large.parquet", block_size=1000) as file:
        file.seek(150_000)
        assert file.read(50) == bytes(50)
    files.mv(f"{root}/x", f"{root}/y")
    files.cp_file(f"{root}/y", f"{root}/z")
    files.rm(f"{root}/y")
    files.invalidate_cache()
    assert not files.exists(f"{root}/x") and not files.exists(f"{root}/y") and files.cat(f"{root}/z") == b"x"
    assert not files.exists(f"{root}@nowhere/z") and files.exists(f"{root}@main/z")
    assert not HfFileSystem(endpoint=hub.url, token=False).exists("datasets/rahim/nothing")


def test_folders_in_many_commits(api, new_repo, tmp_path):
    """Patterns, deletions in the same push, and the pipeline that uploads a folder with many files."""
    for number in range(300):
        (tmp_path / "push" / f"{number % 3}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "push" / f"{number % 3}" / f"{number}.txt").write_text(str(number))
    repo = new_repo()
    api.upload_folder(repo_id=repo, folder_path=tmp_path / "push", ignore_patterns="2/*")
    assert len(api.list_repo_files(repo)) == 201
    shutil.rmtree(tmp_path / "push" / "0")
    api.upload_folder(repo_id=repo, folder_path=tmp_path / "push", delete_patterns="0/*")
    assert len(api.list_repo_files(repo)) == 201
    assert not [path for path in api.list_repo_files(repo) if path.startswith("0/")]


def test_a_scheduler_that_pushes_what_grows(api, repo, tmp_path):
    with CommitScheduler(repo_id=repo, folder_path=tmp_path, every=60, hf_api=api, token=api.token) as scheduler:
        (tmp_path / "log.txt").write_text("one\n")
        scheduler.trigger().result()
        with (tmp_path / "log.txt").open("a") as log:
            log.write("two\n")
        scheduler.trigger().result()
    assert Path(api.hf_hub_download(repo, "log.txt")).read_text() == "one\ntwo\n"


def test_cards(hub, api, repo, run):
    """Written, checked by the Hub, pushed, changed in place."""
    code = f"""
        from huggingface_hub import ModelCard, metadata_update
        card = ModelCard("---\\nlicense: mit\\n---\\n# নমুনা\\n")
        card.validate()
        card.push_to_hub("{repo}")
        metadata_update("{repo}", {{"language": "bn", "tags": ["নমুনা"]}})
        assert ModelCard.load("{repo}").data.language == "bn"
        """
    output(run(code=code))
    assert api.model_info(repo).tags == ["নমুনা", "bn", "license:mit"]


@pytest.mark.slow
def test_transformers(api, run, new_repo):
    """A tiny model and its tokenizer pushed and loaded back: by name, by revision, from the cache without a network."""
    repo = new_repo(private=True)
    code = f"""
        import torch
        from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizer
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "আমি", "ভাত", "খাই"]
        open("vocab.txt", "w", encoding="utf-8").write("\\n".join(words))
        sizes = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
        model = BertModel(BertConfig(vocab_size=len(words), **sizes)).eval()
        model.push_to_hub("{repo}", commit_message="model")
        BertTokenizer("vocab.txt").push_to_hub("{repo}")
        back, tokenizer = AutoModel.from_pretrained("{repo}"), AutoTokenizer.from_pretrained("{repo}")
        inputs = tokenizer("আমি ভাত খাই", return_tensors="pt")
        with torch.no_grad():
            assert torch.equal(back(**inputs).last_hidden_state, model(**inputs).last_hidden_state)
        assert AutoModel.from_pretrained("{repo}", local_files_only=True) is not None
        try:
            AutoModel.from_pretrained("{repo}", revision="nowhere")
        except OSError as error:
            assert "nowhere is not a valid git identifier" in str(error), error
        else:
            raise AssertionError("a missing revision was loaded")
        """
    output(run(code=code))
    info = api.model_info(repo)
    assert info.config["model_type"] == "bert" and "safetensors" in info.tags


def test_datasets(api, with_datasets):
    output(with_datasets)
    assert api.dataset_info("rahim/sentences").card_data["configs"]
