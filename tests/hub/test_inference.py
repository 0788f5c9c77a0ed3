"""The Inference API, asked by its real clients: every task, the honest refusals, and what happens to a bad model."""

import asyncio
import io
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from PIL import Image

from tests.hub.conftest import TOKENS, RunningHub, make_people

SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
PATIENT = {"X-Wait-For-Model": "true"}
TASKS = [
    "fill-mask",
    "token-classification",
    "feature-extraction",
    "sentence-similarity",
    "text-generation",
    "image-classification",
    "text-to-image",
]


@pytest.fixture(scope="module")
def inference(tmp_path_factory) -> Iterator[RunningHub]:
    """A Hub of its own, with a tiny model of rahim's for every task."""
    data = tmp_path_factory.mktemp("inference") / "data"
    make_people(data)
    models = tmp_path_factory.mktemp("tiny")
    subprocess.run(
        [sys.executable, Path(__file__).with_name("tiny_models.py"), models], check=True, capture_output=True
    )
    hub = RunningHub.start(data)
    api = hub.api("rahim")
    for task in TASKS:
        api.create_repo(f"rahim/{task}")
        api.upload_folder(repo_id=f"rahim/{task}", folder_path=models / task)
    yield hub
    hub.stop()
    assert "Traceback" not in hub.log.read_text(), hub.log.read_text()


def client(hub: RunningHub, model: str, who: str = "rahim", **options) -> InferenceClient:
    headers = {**PATIENT, **options.pop("headers", {})}
    return InferenceClient(base_url=f"{hub.url}/models/{model}", token=TOKENS[who], headers=headers, **options)


def test_a_model_says_how_long_it_loads_and_then_answers(inference):
    with inference.http("rahim") as http:
        first = http.post(f"/models/{SST2}", json={"inputs": "I love backend engineering"})
        assert first.status_code == 503
        assert first.json()["estimated_time"] > 0
        assert int(first.headers["Retry-After"]) >= 1
        while (
            answer := http.post(f"/models/{SST2}", json={"inputs": "I love backend engineering"})
        ).status_code == 503:
            time.sleep(0.2)
        assert answer.json()[0][0]["label"] == "POSITIVE"
        began = time.monotonic()
        both = http.post(f"/models/{SST2}", json={"inputs": ["I love it", "I hate it"], "parameters": {"top_k": 1}})
        assert [[one["label"] for one in row] for row in both.json()] == [["POSITIVE"], ["NEGATIVE"]]
        assert time.monotonic() - began < 2  # warm


def test_an_old_id_without_an_owner_leads_to_the_model(inference):
    with inference.http("rahim") as http:
        answer = http.post(
            f"/models/{SST2.split('/')[1]}", json={"inputs": "I love it"}, headers=PATIENT, follow_redirects=True
        )
        assert answer.json()[0][0]["label"] == "POSITIVE"


def test_text_classification(inference):
    found = client(inference, SST2).text_classification("I hate it", top_k=1)
    assert [one.label for one in found] == ["NEGATIVE"]


def test_fill_mask(inference):
    found = client(inference, "rahim/fill-mask").fill_mask("the capital of bangladesh is [MASK].", top_k=3)
    assert len(found) == 3
    assert "[MASK]" not in found[0].sequence
    with pytest.raises(HfHubHTTPError, match=r"No \[MASK\] in the input"):
        client(inference, "rahim/fill-mask").fill_mask("dhaka")


def test_token_classification(inference):
    found = client(inference, "rahim/token-classification").token_classification("dhaka is the capital")
    assert found[0].entity_group == "PER"
    assert (found[0].start, found[-1].end) == (0, 20)


def test_feature_extraction_gives_a_vector_for_each_token(inference):
    assert client(inference, "rahim/feature-extraction").feature_extraction("red rose").shape == (4, 16)


def test_sentence_similarity(inference):
    with inference.http("rahim") as http:
        inputs = {"source_sentence": "red rose", "sentences": ["red rose", "khulna is a capital"]}
        answer = http.post("/models/rahim/sentence-similarity", json={"inputs": inputs}, headers=PATIENT).json()
        assert answer[0] == pytest.approx(1, abs=1e-5)
        assert answer[1] < 0.999
        vector = http.post(
            "/models/rahim/sentence-similarity/pipeline/feature-extraction", json={"inputs": "rose"}, headers=PATIENT
        )
        assert len(vector.json()) == 16


def test_text_generation(inference):
    ask = client(inference, "rahim/text-generation").text_generation
    whole = ask("ঢাকা", max_new_tokens=8, details=True)
    assert whole.details.generated_tokens == len(whole.details.tokens) == 8
    assert whole.details.finish_reason == "length"
    assert ask("ঢাকা", max_new_tokens=8, return_full_text=True) == "ঢাকা" + whole.generated_text
    seeded = [ask("ঢাকা", max_new_tokens=12, temperature=2.0, seed=3) for _ in range(2)]
    assert seeded[0] == seeded[1] != whole.generated_text


def test_text_generation_streams_every_token_and_then_the_whole_text(inference):
    ask = client(inference, "rahim/text-generation").text_generation
    seen = list(ask("ঢাকা", max_new_tokens=8, stream=True, details=True))
    assert [one.generated_text for one in seen[:-1]] == [None] * (len(seen) - 1)
    assert seen[-1].generated_text == "".join(one.token.text for one in seen)
    assert seen[-1].details.generated_tokens == 8


def test_text_generation_leaves_out_what_it_does_not_know(inference, monkeypatch):
    monkeypatch.setattr("huggingface_hub.inference._common._UNSUPPORTED_TEXT_GENERATION_KWARGS", {})  # it remembers
    with pytest.warns(UserWarning, match="watermark"):
        assert client(inference, "rahim/text-generation").text_generation("ঢাকা", max_new_tokens=2, watermark=True)


def test_a_stop_sequence_ends_the_text(inference):
    ask = client(inference, "rahim/text-generation").text_generation
    text = ask("ঢাকা", max_new_tokens=30)
    stop = next(letter for letter in text[1:] if letter.isascii() and letter.isalpha())
    assert ask("ঢাকা", max_new_tokens=30, stop=[stop]) == text[: text.index(stop)]


def test_chat(inference):
    messages = [{"role": "user", "content": "তুমি কে?"}]
    answer = client(inference, "rahim/text-generation").chat_completion(messages, max_tokens=6, seed=1, temperature=1.0)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 6
    assert answer.choices[0].message.role == "assistant"


def test_chat_streams(inference):
    ask = client(inference, "rahim/text-generation")
    messages = [{"role": "user", "content": "তুমি কে?"}]
    whole = ask.chat.completions.create(messages, max_tokens=20, temperature=1.5, seed=4).choices[0].message.content
    parts = list(ask.chat.completions.create(messages, max_tokens=20, temperature=1.5, seed=4, stream=True))
    assert "".join(part.choices[0].delta.content or "" for part in parts).strip() == whole
    assert len(parts) > 3
    assert parts[-1].choices[0].finish_reason == "length"


def test_chat_without_a_template_is_refused(inference):
    with pytest.raises(HfHubHTTPError, match="not served for text-generation"):
        client(inference, "rahim/fill-mask").chat_completion([{"role": "user", "content": "hi"}])


def test_image_classification_of_a_raw_picture_and_with_parameters(inference):
    out = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(out, format="PNG")
    ask = client(inference, "rahim/image-classification").image_classification
    assert {one.label for one in ask(out.getvalue())} == {"০", "১", "২"}
    assert len(ask(out.getvalue(), top_k=1)) == 1
    with pytest.raises(HfHubHTTPError, match="no picture"):
        ask(b"\x89PNG but not really")


def test_text_to_image(inference):
    ask = client(inference, "rahim/text-to-image").text_to_image
    pictures = [ask("৫ আঁকো", num_inference_steps=2, seed=seed, width=16, height=16) for seed in (1, 1, 2)]
    assert pictures[0].size == (16, 16)
    assert pictures[0].tobytes() == pictures[1].tobytes() != pictures[2].tobytes()


def test_the_async_client(inference):
    async def ask() -> list:
        models = AsyncInferenceClient(base_url=f"{inference.url}/models/{SST2}", token=TOKENS["rahim"], headers=PATIENT)
        return await asyncio.gather(*(models.text_classification(text) for text in ("I love it", "I hate it")))

    assert [one[0].label for one in asyncio.run(ask())] == ["POSITIVE", "NEGATIVE"]


def test_the_models_info_names_its_provider(inference):
    info = inference.api("rahim").model_info("rahim/text-generation", expand=["inferenceProviderMapping"])
    assert [(one.provider, one.task) for one in info.inference_provider_mapping] == [("hf-inference", "conversational")]
    with inference.http("rahim") as http:
        assert "rahim/text-generation" in [model["id"] for model in http.get("/v1/models").json()["data"]]


# Refusals


def status(failure: pytest.ExceptionInfo) -> int:
    return failure.value.response.status_code


def test_without_a_token_nothing_is_run(inference):
    with inference.http() as http:
        assert http.post(f"/models/{SST2}", json={"inputs": "I love it"}).status_code == 401


def test_what_is_not_there_and_what_is_private_look_the_same(inference):
    repo = inference.api("karim").create_repo(f"karim/{uuid.uuid4().hex[:8]}", private=True).repo_id
    for model in (repo, "karim/never-made"):
        with pytest.raises(RepositoryNotFoundError) as failure:
            client(inference, model).text_classification("I love it")
        assert status(failure) == 404


def test_a_gated_model_is_not_run_for_those_who_may_not_load_it(inference):
    repo = inference.api("karim").create_repo(f"karim/{uuid.uuid4().hex[:8]}").repo_id
    inference.api("karim").update_repo_settings(repo, gated="manual")
    with pytest.raises(GatedRepoError):
        client(inference, repo).text_classification("I love it")


@pytest.mark.parametrize(
    ("model", "sent", "said"),
    [
        (SST2, {"text": "no inputs"}, 'an object with "inputs"'),
        (SST2, {"inputs": 5}, "must be a string"),
        (SST2, {"inputs": ["a"] * 1000}, "At most"),
        (SST2, {"inputs": "a", "parameters": {"model_kwargs": {}}}, "not served for this task: model_kwargs"),
        (
            "rahim/text-generation",
            {"inputs": "a", "parameters": {"temperature": "hot"}},
            "temperature must be a number",
        ),
        ("rahim/text-generation", {"inputs": "a", "parameters": {"max_new_tokens": 10**9}}, "max_new_tokens must be"),
        ("rahim/text-to-image", {"inputs": "৫", "parameters": {"num_inference_steps": 5000}}, "At most"),
    ],
)
def test_a_request_that_makes_no_sense_is_422_with_the_reason(inference, model, sent, said):
    with inference.http("rahim") as http:
        answer = http.post(f"/models/{model}", json=sent, headers=PATIENT)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


def test_a_repo_without_a_task_and_one_with_a_strange_one_are_422(inference):
    api = inference.api("rahim")
    empty = api.create_repo(f"rahim/{uuid.uuid4().hex[:8]}").repo_id
    with inference.http("rahim") as http:
        assert "no pipeline_tag" in http.post(f"/models/{empty}", json={"inputs": "a"}).json()["error"]
        api.upload_file(path_or_fileobj=b"---\npipeline_tag: robotics\n---\n", path_in_repo="README.md", repo_id=empty)
        assert "not served for robotics" in http.post(f"/models/{empty}", json={"inputs": "a"}).json()["error"]


def test_a_broken_model_and_one_with_code_of_its_own_are_told_and_nothing_runs(inference, tmp_path):
    api = inference.api("rahim")
    repo = api.create_repo(f"rahim/{uuid.uuid4().hex[:8]}").repo_id
    ran = tmp_path / "ran"
    config = {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "code.Mine", "AutoModelForSequenceClassification": "code.Mine"},
    }
    for name, content in {
        "README.md": "---\npipeline_tag: text-classification\n---\n",
        "config.json": json.dumps(config),
        "code.py": f"open({str(ran)!r}, 'w')",
    }.items():
        api.upload_file(path_or_fileobj=content.encode(), path_in_repo=name, repo_id=repo)
    with pytest.raises(HfHubHTTPError, match="cannot be loaded") as failure:
        client(inference, repo).text_classification("I love it")
    assert status(failure) == 422
    assert not ran.exists()


def test_when_the_credit_is_spent_it_is_402_and_when_there_are_too_many_429(inference):
    pathshala = str(Path(sys.executable).with_name("pathshala"))
    allowance = [pathshala, "hub", "allowance", "selim", "--data", inference.data]
    subprocess.run([*allowance, "--calls", "2"], check=True, capture_output=True)
    ask = client(inference, SST2, "selim").text_classification
    assert ask("I love it")
    assert ask("I love it")
    with pytest.raises(HfHubHTTPError, match="credit") as failure:
        ask("I love it")
    assert status(failure) == 402

    subprocess.run([*allowance, "--per-minute", "1"], check=True, capture_output=True)
    assert ask("I love it")
    with pytest.raises(HfHubHTTPError) as failure:
        ask("I love it")
    assert status(failure) == 429
    assert 1 <= int(failure.value.response.headers["Retry-After"]) <= 60

    subprocess.run(allowance, check=True, capture_output=True)
    assert ask("I love it")


def test_a_student_may_set_it_on_an_open_hub_only(inference):
    with inference.http("karim") as http:
        assert http.get("/settings/inference").json() == {"calls": None, "per_minute": None}
        assert http.post("/settings/inference", data={"calls": "5"}).status_code == 403


# Limits


def workers(hub: RunningHub) -> list[psutil.Process]:
    return [one for one in psutil.Process(hub.process.pid).children(recursive=True) if one.name().startswith("python")]


def test_who_leaves_in_the_middle_of_an_answer_frees_the_model(inference):
    ask = client(inference, "rahim/text-generation")
    stream = ask.text_generation("ঢাকা", max_new_tokens=240, stream=True)
    next(stream)
    ask.close()
    began = time.monotonic()
    assert client(inference, "rahim/text-generation").text_generation("ঢাকা", max_new_tokens=1, details=True)
    assert time.monotonic() - began < 10


def test_models_in_memory_are_few(inference):
    for task in ("fill-mask", "token-classification"):
        with inference.http("rahim") as http:
            http.post(f"/models/rahim/{task}", json={"inputs": "[MASK]"}, headers=PATIENT)
    # The Hub's own helpers: the server that workers are forked from, and what keeps track of shared memory.
    assert len(workers(inference)) <= 3 + 2


@pytest.mark.slow
def test_a_killed_hub_leaves_no_worker(tmp_path):
    make_people(tmp_path / "data")
    hub = RunningHub.start(tmp_path / "data")
    client(hub, SST2).text_classification("I love it")
    left = workers(hub)
    assert left
    hub.process.kill()
    hub.process.wait()
    hub.process.stdout.close()
    _gone, alive = psutil.wait_procs(left, timeout=15)
    assert not alive
