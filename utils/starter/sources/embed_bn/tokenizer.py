"""Makes the WordPiece tokenizer: a word is its stem and its endings, so that all forms of a word share a piece."""

from collections import Counter, defaultdict

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from utils.starter.sources.common.text import words

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LONGEST = 64  # tokens of a text
PUNCTUATION = r"[^\p{L}\p{M}\p{N}\u200d?]"  # a question means something else than its answer: its mark stays
NOUN = "টা টি টার টির টাকে টাই টায় টিতে খানা গুলো গুলোর গুলোকে গুলোতে গুলি দের দেরকে রা েরা র ের কে য় তে ে েই য়ের রই ই ও টুকু"
VERB = (
    "ি ো ে েন া ার তে লে ছি ছে ছেন ছ ছিল ছিলাম লাম ল লো লেন েছি েছে েছেন েছ "
    "েছিল েছিলাম েছিলেন তাম ত তেন ব বে বেন বো িনি েনি ুন িস "
    "ই ও য় ন চ্ছি চ্ছে চ্ছেন চ্ছিল িয়ে িয়েছি িয়েছে িয়েছেন িয়েছিল নো নোর নোয় ইনি য়নি েননি বেই তেই লেই লেও েও াই িয়েই তো"
)
ENDINGS = sorted({*NOUN.split(), *VERB.split()}, key=lambda ending: (-len(ending), ending))


def stems(counts: Counter[str]) -> dict[str, str]:
    """{word: its stem}, the word itself where nothing shows that it ends in an ending.

    A stem must stand alone somewhere, or before two endings at least.
    """
    followed = defaultdict(set)
    cuts = defaultdict(list)
    for word in counts:
        for ending in ENDINGS:
            stem = word.removesuffix(ending)
            if stem != word and len(stem) > 1 and stem[-1] != "্":
                followed[stem].add(ending)
                cuts[word].append(stem)
    found = {}
    for word, candidates in cuts.items():
        likely = [stem for stem in candidates if stem in counts or len(followed[stem]) > 2]
        weight = {stem: len(followed[stem]) + 3 * (stem in counts) for stem in likely}
        if likely and (best := max(likely, key=weight.__getitem__)) and weight[best] > len(followed[word]):
            found[word] = best
    return {word: found.get(word, word) for word in counts}


def vocabulary(texts: list[str], size: int) -> list[str]:
    """Special tokens, single characters, endings, then the commonest stems and, behind `##`, ends of compounds."""
    counts = Counter(word for text in texts for word in words(text))
    stem_of = stems(counts)
    heads: Counter[str] = Counter()
    for word, count in counts.items():
        heads[stem_of[word]] += count
    tails: Counter[str] = Counter()
    for stem, count in heads.items():
        for start in range(2, len(stem) - 2):
            if stem[start:] in heads and stem[:start] in heads and stem[start] not in "ািীুূৃেৈোৌ্ংঃঁ়":
                tails[f"##{stem[start:]}"] += count
    characters = sorted({letter for word in counts for letter in word} | {"?"})
    tokens = dict.fromkeys(SPECIAL + characters + [f"##{c}" for c in characters] + [f"##{e}" for e in ENDINGS])
    ranked = Counter({piece: count for piece, count in heads.items() if count > 1}) + tails
    for piece, _ in sorted(ranked.items(), key=lambda item: (-item[1], item[0])):
        if len(tokens) == size:
            break
        tokens.setdefault(piece)
    return list(tokens)


def make_tokenizer(texts: list[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` entries made from the texts, in the form that AutoTokenizer loads."""
    vocab = {token: number for number, token in enumerate(vocabulary(texts, size))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=60))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    plain = pre_tokenizers.Split(Regex(PUNCTUATION), "removed")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), plain])
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(*((t, vocab[t]) for t in ("[SEP]", "[CLS]")))
    names = ("pad", "unk", "cls", "sep", "mask")
    named = {f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LONGEST, model_input_names=["input_ids", "attention_mask"], **named
    )
