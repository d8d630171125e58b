"""What the text encoder is trained on: prompts of the grammar, roughened so that it also copes with unseen wording."""

import random
import re
from collections import Counter, defaultdict

import minilm
import paraphrases
import prompts
import torch
from everyday import COMMON, FILLER, SUBJECTS
from lexicon import GENERIC, PHOTO, WORDING
from transformers import CLIPTokenizer

ENGLISH = 12_000  # words of MiniLM's vocabulary in use
AKIN, UNRELATED = 0.62, 0.5  # cosines of MiniLM's vectors
DISTINCT = 2  # a word that this many styles or fewer use says something about the style


def split(texts) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


class Thesaurus:
    """English words beside the grammar's own: those akin to one style's word, and those unlike any of them."""

    def __init__(self, teacher: minilm.MiniLM) -> None:
        styles: defaultdict[str, set[str]] = defaultdict(set)
        for style, words in WORDING.items():
            for word in split(part for parts in vars(words).values() for part in parts):
                styles[word].add(style)
        plain = split((*COMMON, *FILLER, *SUBJECTS, *GENERIC, *PHOTO))
        telling = sorted(word for word, uses in styles.items() if len(uses) <= DISTINCT and len(word) > 2)
        known = plain | set(styles)
        english = [word for word in minilm.english()[:ENGLISH] if word not in known and len(word) > 2]
        likeness = teacher(english) @ teacher(telling).T
        best, nearest = likeness.max(dim=1)
        self.neutral = [word for word, value in zip(english, best.tolist(), strict=True) if value < UNRELATED]
        self.akin: defaultdict[str, list[str]] = defaultdict(list)
        for word, value, index in zip(english, best.tolist(), nearest.tolist(), strict=True):
            if value > AKIN and telling[index] not in plain and len(styles[telling[index]]) == 1:
                self.akin[telling[index]].append(word)

    def roughened(self, rng: random.Random, text: str) -> str:
        """The prompt with a word exchanged for one akin to it, or unrelated words put in: its recipe stays the same."""
        words = text.split(" ")
        if rng.random() < 0.12:
            places = [i for i, word in enumerate(words) if word.lower() in self.akin]
            if places:
                i = rng.choice(places)
                words[i] = rng.choice(self.akin[words[i].lower()])
        if rng.random() < 0.15:
            at = rng.randrange(len(words) + 1)
            words[at:at] = rng.choices(self.neutral, k=rng.randint(1, 3))
        return " ".join(words)

    def babble(self, rng: random.Random) -> str:
        return " ".join(rng.choices(self.neutral, k=rng.randint(1, 7)))

    def sample(self, rng: random.Random) -> tuple[str, list[float]]:
        while True:
            if rng.random() < 0.05:
                return self.babble(rng), prompts.vector(prompts.DEFAULT)
            text, recipe = prompts.sample(rng)
            text = self.roughened(rng, text)
            if not paraphrases.is_held_out(text):
                return text, recipe


def phrases_of_english(rng: random.Random, count: int) -> list[str]:
    """Short phrases over the whole vocabulary, on which our encoder imitates MiniLM."""
    words = minilm.english()[:ENGLISH]
    texts = words[:8000]
    while len(texts) < count:
        text = " ".join(rng.choices(words, k=rng.randint(1, 4)))
        texts.append(prompts.sample(rng)[0] if rng.random() < 0.3 else text)
    return texts


class Codes:
    """Token ids of texts, and the other ways to spell them in the same vocabulary."""

    def __init__(self, tokenizer: CLIPTokenizer, merges: list[tuple[str, str]]) -> None:
        self.tokenizer, ids = tokenizer, tokenizer.get_vocab()
        self.parts = {ids[a + b]: (ids[a], ids[b]) for a, b in merges}

    def __call__(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, truncation=True, max_length=self.tokenizer.model_max_length).input_ids

    def respelled(self, rng: random.Random, ids: list[int], share: float = 0.15) -> list[int]:
        """Some tokens taken apart, as they are in words that the vocabulary lacks."""
        out = []
        for token in ids:
            pending = [token]
            while pending:
                piece = pending.pop()
                if piece in self.parts and rng.random() < share:
                    pending += reversed(self.parts[piece])
                else:
                    out.append(piece)
        limit = self.tokenizer.model_max_length
        return out if len(out) <= limit else ids


def padded(rows: list[list[int]], pad: int, length: int) -> torch.Tensor:
    return torch.tensor([row + [pad] * (length - len(row)) for row in rows])


def report(thesaurus: Thesaurus) -> None:
    counts = Counter({word: len(others) for word, others in thesaurus.akin.items()})
    print(f"thesaurus: {len(thesaurus.neutral)} unrelated words, {counts.total()} akin to {len(counts)}", flush=True)
