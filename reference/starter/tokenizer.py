"""Trains the starter model's own byte-pair vocabulary, in CLIP's format, on prompts and English words."""

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

import minilm
import prompts

from make_tokenizer import SPECIAL, WORD_END, byte_symbols, joined, words

VOCABULARY = 4096
MAX_TOKENS = 77
PROMPTS = 60_000

Word = tuple[str, ...]


def corpus(seed: int) -> Counter[Word]:
    """Words with counts: many prompts, and each English word as often as its rank suggests."""
    rng = random.Random(seed)
    counts = words(" ".join(prompts.sample(rng)[0] for _ in range(PROMPTS)))
    for rank, word in enumerate(minilm.english()):
        for symbols in words(word):
            counts[symbols] += 1 + int(3000 / (rank + 10))
    return counts


def merges(counts: Counter[Word], number: int) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, ties by the pair itself. A merge touches only the words it is in."""
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    spelled, often = list(counts), list(counts.values())

    def count(index: int, sign: int) -> None:
        for pair in pairwise(spelled[index]):
            pairs[pair] += sign * often[index]
            where[pair].add(index)

    for index in range(len(spelled)):
        count(index, 1)
    learned = []
    for _ in range(number):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        learned.append(best)
        for index in sorted(where.pop(best)):
            count(index, -1)
            spelled[index] = joined(spelled[index], best)
            count(index, 1)
        del pairs[best]
    return learned


def write(folder: Path, learned: list[tuple[str, str]]) -> None:
    symbols = byte_symbols()
    vocabulary = [*symbols, *(s + WORD_END for s in symbols), *(a + b for a, b in learned), *SPECIAL]
    assert len(set(vocabulary)) == len(vocabulary) == VOCABULARY
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: i for i, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in learned)]) + "\n")
    start, end = SPECIAL
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    config = {**special, "model_max_length": MAX_TOKENS, "do_lower_case": True, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the model's folder; writes its tokenizer/")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    fixed = 2 * len(byte_symbols()) + len(SPECIAL)
    write(arguments.out / "tokenizer", merges(corpus(arguments.seed), VOCABULARY - fixed))


if __name__ == "__main__":
    main()
