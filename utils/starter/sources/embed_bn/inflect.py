"""Bangla inflection for the lexicon: the everyday forms of a noun and of a verb, each with the name of its form."""

from pathlib import Path

VOWELS = "ািীুূৃেৈোৌঅআইঈউঊএঐওঔ"
# What a verb adds to its stem; "w" takes the stem with the closed vowel (লিখ), "s" the one with the open vowel (লেখ).
REGULAR = {
    "noun": "sা", "gerund": "sার", "to": "wতে", "having": "wে", "if": "wলে", "i": "wি", "you": "sো", "he": "sে",
    "honoured": "sেন", "i am": "wছি", "he is": "wছে", "i did": "wলাম", "he did": "wল", "i have": "wেছি",
    "he has": "wেছে", "they have": "wেছেন", "he had": "wেছিল", "i used": "wতাম", "i will": "wব", "he will": "wবে",
    "i have not": "wিনি", "he has not": "sেনি",
}  # fmt: skip
CAUSATIVE = {
    "noun": "sনো", "gerund": "sনোর", "to": "sতে", "having": "wিয়ে", "if": "sলে", "i": "sই", "you": "sও", "he": "sয়",
    "honoured": "sন", "i am": "sচ্ছি", "he is": "sচ্ছে", "i did": "sলাম", "he did": "sল", "i have": "wিয়েছি",
    "he has": "wিয়েছে", "they have": "wিয়েছেন", "he had": "wিয়েছিল", "i used": "sতাম", "i will": "sব", "he will": "sবে",
    "i have not": "sইনি", "he has not": "sয়নি",
}  # fmt: skip
ORDER = list(REGULAR)
IRREGULAR = {
    stem: forms.split()
    for stem, _, forms in (
        line.partition("=")
        for line in (Path(__file__).parent / "irregular.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
}


def noun_forms(word: str) -> dict[str, str]:
    """The forms of a noun: itself, the definite, whose, whom, where, many."""
    if word[-1] in VOWELS:
        whose, where = "র", "য়" if word[-1] == "া" else "তে"
    else:
        whose, where = "ের", "ে"
    endings = {"": "", "definite": "টা", "whose": whose, "whom": "কে", "where": where, "many": "গুলো"}
    return {name: word + ending for name, ending in endings.items()}


def verb_forms(stems: str) -> dict[str, str]:
    """The forms of a verb: "কর", "বানা" (causatives end in া), "লিখ~লেখ" (closed and open stem) or an irregular one."""
    *before, stems = stems.split(" ")
    closed, _, open_ = stems.partition("~")
    if closed in IRREGULAR:
        forms = dict(zip(ORDER, IRREGULAR[closed], strict=True))
    else:
        open_ = open_ or closed
        causative = open_[-1] in "াো"
        closed = closed[:-1] if causative else closed
        pattern = CAUSATIVE if causative else REGULAR
        forms = {name: (closed if how[0] == "w" else open_) + how[1:] for name, how in pattern.items()}
    return {name: " ".join([*before, form]) for name, form in forms.items()}
