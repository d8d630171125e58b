"""Writes fixtures/tokenizer: strings with the ids that transformers' CLIPTokenizer gives, for two vocabularies.

The large vocabulary is the published one of CLIP, which the repository does not carry: its folder is an argument.
"""

import argparse
import json
import random
import unicodedata
from pathlib import Path

import tokenizers
from transformers import CLIPTokenizer

from common import FIXTURES, MODELS, meta

FOLDER = FIXTURES / "tokenizer"

WORDS = [
    "a", "an", "the", "photo", "painting", "portrait", "of", "in", "on", "with", "under", "cat", "dog", "robot",
    "lantern", "harbour", "castle", "forest", "river", "city", "woman", "man", "child", "astronaut", "horse",
    "bicycle", "train", "cathedral", "mountain", "desert", "ocean", "storm", "sunset", "night", "morning", "neon",
    "watercolour", "oil", "charcoal", "ink", "woodblock", "impressionist", "baroque", "cyberpunk", "minimalist",
    "surreal", "highly", "detailed", "sharp", "focus", "cinematic", "volumetric", "lighting", "bokeh", "35mm", "8k",
    "4k", "masterpiece", "trending", "photorealistic", "unreal", "engine", "octane", "render",
    "antidisestablishmentarianism", "supercalifragilisticexpialidocious", "xqzvkjw", "hyperrealistic", "steampunk",
    "art-nouveau", "chiaroscuro",
]  # fmt: skip

FIXED = [
    "", " ", "   ", "\t", "\n", "\r\n", "a", "A", "  a  b   c ", "a\tb\nc\r\nd", "a\u00a0b", "a\u2003b", "a\u200bb",
    "\ufeffa", "a\u2028b\u2029c", "a\x0bb\x0cc", "a\x85b", "\x00", "a\x00b", "\x01\x02\x1f", "a\x7fb", "\u0080\u009f",
    "\ufffd", "\ufffe", "(word:1.2)", "((word))", "[word]", "(a cat:1.3), [a dog:0.5]", "{a|b|c}",
    "(word:1.2) AND (other:0.8)", "word++", "<lora:x:1>", "\\(escaped\\)", "a:b:c", "::", "--ar 16:9", "--no text",
    "BREAK", "__wild__", "a_b_c", "CamelCase", "snake_case", "UPPER lower", "it's", "IT'S",
    "they're we've I'm you'll he'd don't", "it\u2019s", "'s", "''s", "'tis", "rock'n'roll", "o'clock", "s's's",
    "'LL 'Re", "<|startoftext|>", "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|> <|startoftext|>",
    "<|endoftext", "|>", "</w>", "a</w>", "123", "1 2 3", "3.14159", "1,000,000", "2024-05-09", "0x1F600", "1e-5",
    "50%", "$9.99", "\u20ac20", "\u00a35", "x\u00b2", "\u00bd cup", "H\u2082O", "\u0661\u0662\u0663",
    "\u0967\u0968\u0969", "\uff11\uff12\uff13", "\u2160\u2161\u2163", "\u2460\u2461", "\U0001d7d8\U0001d7d9",
    "\u4e00\u4e8c\u4e09", "caf\u00e9", "cafe\u0301", "\u00c5ngstr\u00f6m", "A\u030angstro\u0308m",
    "\u212bngstr\u00f6m", "\u1e9b\u0323", "\ufb01ne \ufb02ow", "\uff26\uff35\uff2c\uff2c", "\u2126 \u03a9",
    "\u0130stanbul", "I\u0307stanbul", "\u0131\u0130iI", "STRASSE stra\u00dfe \u1e9e",
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "\u01c4 \u01c5 \u01c6", "\u0149", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uad6d\uc5b4",
    "\u5c71\u3068\u5ddd", "\u6f22\u5b57\u3001\u304b\u306a", "\u30ab\u30bf\u30ab\u30ca", "\u304b\u3099", "\u304c",
    "\uff76\uff9e", "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
    "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05c1\u05c1\u05dc\u05d5\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u1006\u101b\u102c", "\u12a0\u121b\u122d\u129b", "\U0001f600",
    "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f",
    "\u263a", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "a\U0001f600b", "\U0001f600\U0001f600",
    ":) ;-) \u00af\\_(\u30c4)_/\u00af", "\U0001d4d7\U0001d4ee\U0001d4f5", "\U00020000\U0002a6d6", "\U00010348",
    "\U0001f9ff\U0001fae0", "&amp;", "&lt;b&gt;", "&#39;", "&eacute;", "&amp;amp;", "a &nbsp; b", "<b>bold</b>",
    "<!-- c -->", "&quot;x&quot;", "http://example.org", "https://example.org/a/b?c=d&e=f#g", "user@example.org",
    "@name #tag", "C:\\path\\file.png", "/usr/share/x", "file.safetensors", "...", "\u2026", "!!!", "?!", "---",
    "\u2014", "\u2013", "\u201cquoted\u201d", "\u00abguillemets\u00bb", "`code`", "~^*=+|", "\u2022 bullet",
    "\u2122\u00ae\u00a9", "\u2192\u21d2", "\u2200x\u2208\u211d", "\u00b5m \u03bcm", "\u00e2\u20ac\u2122",
    "\u00c3\u00a9", "schÃ¶n", "\ufb03", "\u0301", "\u0301a", "a\u0301\u0302\u0303\u0304", "\u200d", "\u00ad",
    "soft\u00adhyphen", "\u202eabc", "\u2066x\u2069",
]  # fmt: skip
BLOCKS = [
    (0x20, 0x7F), (0xA0, 0x180), (0x180, 0x250), (0x250, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE80),
    (0x1100, 0x1200), (0x1D00, 0x2000), (0x2000, 0x2C00), (0x2E80, 0x3400), (0x4E00, 0x9FFF), (0xA000, 0xABFF),
    (0xAC00, 0xD7A4), (0xF900, 0xFFFE), (0x10000, 0x10400), (0x1D400, 0x1D800), (0x1F000, 0x1FB00), (0x20000, 0x20200),
]  # fmt: skip


def prompt(pick: random.Random) -> str:
    """A prompt such as people write: words, commas, odd capitals, weights."""
    words = pick.choices(WORDS, k=pick.randint(1, 14))
    words = [pick.choice((str.lower, str.lower, str.upper, str.title))(word) for word in words]
    text = words[0]
    for word in words[1:]:
        text += (
            pick.choice((" ", " ", " ", ", ", "  ", "-", " (", "), ", ". ", "/", "'s ", ":1.3) ", "! ", "\t")) + word
        )
    return text


def soup(pick: random.Random) -> str:
    """Assigned characters of one or two blocks, with spaces between some."""
    text = ""
    for first, last in pick.choices(BLOCKS, k=pick.randint(1, 2)):
        text += "".join(chr(pick.randrange(first, last)) for _ in range(pick.randint(1, 6)))
        text += pick.choice(("", " ", "a", "1", ","))
    return text


def mixture(pick: random.Random) -> str:
    parts = pick.choices(FIXED, k=pick.randint(2, 4))
    text = pick.choice((" ", "", ", ")).join(parts)
    return unicodedata.normalize(pick.choice(("NFC", "NFD", "NFKC", "NFKD")), text)


def strings(count: int, seed: int) -> list[str]:
    pick = random.Random(seed)
    long = [" ".join(pick.choices(WORDS, k=90)), "\U0001f600" * 40, "x" * 300, "\u5c71" * 50, "!" * 120, "9" * 100]
    out = dict.fromkeys([*FIXED, *long])
    while len(out) < count:
        out[pick.choice((prompt, soup, mixture))(pick)] = None
    return list(out)


def write(path: Path, tokenizer: CLIPTokenizer, texts: list[str], note: str) -> None:
    """One `[string, ids]` a line; ids include start and end and are neither cut nor padded."""
    rows = ",\n".join(json.dumps([t, tokenizer(t).input_ids], ensure_ascii=False, separators=(",", ":")) for t in texts)
    head = {
        **meta(__file__),
        "tokenizers": tokenizers.__version__,
        "class": type(tokenizer).__name__,
        "vocabulary": note,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"meta": {json.dumps(head)}, "cases": [\n{rows}\n]}}\n')
    print(f"{path.name}: {len(texts)} strings, {path.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="folder with CLIP's own vocab.json and merges.txt")
    arguments = parser.parse_args()
    small = CLIPTokenizer.from_pretrained(MODELS / "tiny-sdxs/tokenizer")
    write(FOLDER / "small.json", small, strings(len(FIXED) + 106, seed=2), "models/tiny-sdxs/tokenizer")
    clip = CLIPTokenizer.from_pretrained(arguments.clip)
    write(FOLDER / "clip.json", clip, strings(2800, seed=1), "openai/clip-vit-large-patch14")


if __name__ == "__main__":
    main()
