"""chat-bn: it answers as the held-out prompts' rules ask, and its template is what it learned from."""

import unicodedata

import pytest

from tests.starter.conftest import heard
from utils.starter.sources.chat_bn import build, data
from utils.starter.sources.common import cards
from utils.starter.sources.common.text import check_bangla, words

REPO = cards.STARTER / build.REPO
CARD = (REPO / "README.md").read_text("utf-8")
MESSAGES = [
    {"role": "system", "content": "সংক্ষেপে বলো। "},
    {"role": "user", "content": "তোমার নাম কী?"},
    {"role": "assistant", "content": "আমার নাম পাঠশালা।"},
    {"role": "user", "content": "ধন্যবাদ"},
]


@pytest.fixture(scope="module")
def loaded():
    """The pipeline, and whatever was said while it loaded and answered."""
    from transformers import pipeline

    with heard() as said:
        chat = pipeline("text-generation", model=str(REPO), device="cpu")
        chat(MESSAGES)
    return chat, said


@pytest.fixture(scope="module")
def chat(loaded):
    return loaded[0]


def test_loads_and_answers_without_warnings(loaded):
    assert loaded[1] == []


def test_template_marks_each_role_and_ends_each_answer(chat):
    text = chat.tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<s><|system|>সংক্ষেপে বলো।<|user|>তোমার নাম কী?<|assistant|>আমার নাম পাঠশালা।</s><|user|>ধন্যবাদ<|assistant|>"
    )
    ids = chat.tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True)["input_ids"]
    assert ids == chat.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids.count(chat.tokenizer.bos_token_id) == 1


def test_template_refuses_a_role_it_does_not_know(chat):
    with pytest.raises(Exception, match="role হবে"):
        chat.tokenizer.apply_chat_template([{"role": "tool", "content": "x"}])


def test_loss_falls_on_answers_alone(chat):
    ids, labels = build.example(chat.tokenizer, MESSAGES)
    taught = [token for token, label in zip(ids, labels, strict=True) if label != build.UNTAUGHT]
    assert chat.tokenizer.decode(taught) == "আমার নাম পাঠশালা।</s>"


def test_answers_several_turns_with_a_system_message(chat):
    messages = [{"role": "system", "content": "তুমি একজন সাহায্যকারী।"}]
    for prompt, wanted in (("বাংলাদেশের জাতীয় ফল কী?", "কাঁঠাল"), ("তুমি কে?", "পাঠশালা"), ("নতুন এর বিপরীত কী?", "পুরোনো")):
        messages.append({"role": "user", "content": prompt})
        messages = chat(messages)[0]["generated_text"]
        assert wanted in messages[-1]["content"]


def test_says_that_it_does_not_know(chat):
    for prompt in ("আজকের আবহাওয়া কেমন?", "আমার পাসওয়ার্ড কী?", "বিশ্বকাপ কে জিতবে?"):
        reply = chat([{"role": "user", "content": prompt}])[0]["generated_text"][-1]["content"]
        assert "জানি না" in reply


@pytest.mark.parametrize(
    ("reply", "rule", "kept"),
    [
        ("উত্তর ৫।", {"any": ["৫", "পাঁচ"]}, True),
        ("উত্তর ১৫।", {"any": ["৫", "পাঁচ"]}, False),
        ("হ্যাঁ।", {"equals_any": ["হ্যাঁ", "হ্যাঁ।"]}, True),
        ("হ্যাঁ, ওঠে।", {"equals_any": ["হ্যাঁ", "হ্যাঁ।"]}, False),
        ("আম, আম আর আম।", {"count_from": ["আম", "জাম"], "n": 2}, False),
        ("আম আর জাম।", {"count_from": ["আম", "জাম"], "n": 2}, True),
        ("আমড়া।", {"count_from": ["আম", "আমড়া"], "n": 2}, False),
        ("লালের পরে নীল।", {"count_from": ["লাল", "নীল"], "n": 2}, True),
        ("১, ১০।", {"count_from": ["১", "০"], "n": 2}, False),
        ("এক দুই তিন", {"contains": "এক", "max_words": 2}, False),
        ("আমি মানুষ।", {"any": ["মানুষ"], "not_contains": "আমি মানুষ।"}, False),
    ],
)
def test_rules_are_exact(reply, rule, kept):
    assert data.follows(reply, rule) is kept


def test_pairs_are_many_and_clean():
    written = data.written()
    assert len(set(written)) >= 700
    assert [pair for pair in written if check_bangla(" ".join(pair))] == []
    opposites = data.rows("opposites")
    assert len(opposites) >= 150
    assert len({word for word, _ in opposites}) == len(opposites)
    assert len({tuple(row) for row in data.rows("yesno")}) == len(data.rows("yesno"))


@pytest.mark.slow
def test_nothing_that_asks_what_a_test_prompt_asks_was_taught():
    prompts = {" ".join(words(row["prompt"])) for row in data.held_out("test.jsonl")}
    taught = [
        message["content"]
        for talk in data.conversations(build.TURNS, build.SEED)
        for message in talk
        if message["role"] == "user"
    ]
    assert prompts.isdisjoint(" ".join(words(prompt)) for prompt in taught)
    turns = [data.Turn(prompt, "") for prompt in ("বরফ কি গরম শুধু হ্যাঁ না", "বরফ কি ঠান্ডা")]
    assert data.same_as_held_out(turns) == {turns[0].prompt}


def test_the_same_seed_writes_the_same_turns():
    one, two = data.Writer(4), data.Writer(4)
    turns = [one.turn() for _ in range(200)]
    assert turns == [two.turn() for _ in range(200)]
    assert all(unicodedata.is_normalized("NFC", turn.prompt + turn.answer) for turn in turns)
