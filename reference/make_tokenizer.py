"""Trains the small CLIP-format byte-pair vocabulary that the fixture models share."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import regex
from tokenizers.pre_tokenizers import ByteLevel

MERGES = 500
WORD_END = "</w>"
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
PIECES = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)

SAMPLE = """
a photo of a cat sitting on a window sill in the morning light, a dog running through the park,
an oil painting of the old harbour at night with lanterns on the water, impressionist brush strokes,
a portrait of a woman reading a letter, soft light from the left, highly detailed, sharp focus,
the magic lantern throws a moving picture on the wall of the room, a small theatre of light and shadow,
a watercolour of mountains and a river under heavy clouds, a pencil drawing of a bicycle against a wall,
an astronaut riding a horse on the moon, cinematic lighting, a bowl of fruit on a wooden table,
low quality, blurry, bad anatomy, watermark, text, cropped, worst quality, ugly, deformed hands,
a red house beside a green field, a yellow bird on a blue branch, black and white photograph of a street,
in the style of a woodblock print, in the style of stained glass, in the style of a comic book,
make the sky purple, turn the trees into candles, add snow to the roof, replace the car with a boat,
it's what they've always done, we're here, she'll come, I'd say so, I'm not sure that they don't,
a robot made of glass and brass, steam rising, a city of towers above the sea, bridges and trains,
children playing with kites on the beach, a fisherman mending nets, a baker with flour on the hands,
the quick brown fox jumps over the lazy dog while the farmer watches from the garden gate,
colours: crimson, amber, violet, teal, ivory, charcoal; textures: velvet, marble, rust, linen, smoke,
(masterpiece:1.2), [sketch], {detail}, best quality, 8k, 35mm, f/1.8, 4:3, 16:9, 2024, 100%,
ein Bild von einem Haus am See, une photo d'un chat noir, una casa en la montaña, größe, café, naïve,
картина с видом на море, 山と川の絵, 한국의 가을 풍경, ζωγραφική
"""


def byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes, in CLIP's order: printable bytes first, then the rest."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]


def words(text: str) -> Counter[tuple[str, ...]]:
    """Counts the pieces of the text as byte symbols, the last of each marked as a word's end."""
    level = ByteLevel(add_prefix_space=False, use_regex=False)
    counts: Counter[tuple[str, ...]] = Counter()
    for piece in PIECES.findall(" ".join(text.split()).lower()):
        symbols = level.pre_tokenize_str(piece)[0][0]
        counts[(*symbols[:-1], symbols[-1] + WORD_END)] += 1
    return counts


def joined(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for symbol in word:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return tuple(out)


def train(text: str, merges: int) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, ties by the pair itself."""
    counts, learned = words(text), []
    for _ in range(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in counts.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        learned.append(best)
        merged: Counter[tuple[str, ...]] = Counter()
        for word, count in counts.items():
            merged[joined(word, best)] += count
        counts = merged
    return learned


def write(folder: Path, pad: str = "<|endoftext|>") -> int:
    """Writes a tokenizer folder and returns the size of its vocabulary.

    `pad` is `<|endoftext|>` for SD 1 checkpoints and `!` (id 0) for SD 2 ones.
    """
    symbols, merges = byte_symbols(), train(SAMPLE, MERGES)
    vocab = [*symbols, *(s + WORD_END for s in symbols), *(a + b for a, b in merges), *SPECIAL]
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: i for i, token in enumerate(vocab)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    start, end = SPECIAL
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": pad}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    config = {**special, "model_max_length": 77, "do_lower_case": True, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return len(vocab)
