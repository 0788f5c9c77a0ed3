"""বাংলা মন্তব্যটা ভালো, খারাপ, না মাঝামাঝি? sentiment-bn কে জিজ্ঞেস করার একটা পাতা।"""

import os

import gradio as gr
from transformers import pipeline

MODEL = os.environ.get("MODEL_ID", "pathshala/sentiment-bn")  # অন্য model দেখাতে Space এর Settings এ MODEL_ID দাও
BANGLA = {"positive": "ভালো", "neutral": "মাঝামাঝি", "negative": "খারাপ"}
EXAMPLES = [
    "খাবারটা দারুণ ছিল, আবার যাব",
    "ফোনটা খারাপ না, তবে চার্জ থাকে না",
    "delivery onek late chilo",
    "দোকানটা রাত আটটায় বন্ধ হয়",
]

classifier = pipeline("text-classification", model=MODEL, top_k=None)


def classify(text: str) -> dict[str, float]:
    """একটা মন্তব্য → প্রতিটা label এর score; সব score এর যোগফল ১।"""
    if not text.strip():
        raise gr.Error("আগে একটা মন্তব্য লেখো")
    return {BANGLA.get(answer["label"], answer["label"]): answer["score"] for answer in classifier([text])[0]}


demo = gr.Interface(
    classify,
    gr.Textbox(label="মন্তব্য", placeholder="এখানে একটা মন্তব্য লেখো", lines=2),
    gr.Label(label="model কী বলে"),
    examples=EXAMPLES,
    cache_examples=False,
    title="মন্তব্যটা কেমন?",
    description=f"উত্তর দেয় `{MODEL}`: ছোট একটা model, পাঁচটার মধ্যে একটা উত্তর ভুল হতে পারে।",
    submit_btn="বলো",
    clear_btn="মুছে ফেলো",
    flagging_mode="never",
    api_name="classify",
)

if __name__ == "__main__":
    demo.launch()
