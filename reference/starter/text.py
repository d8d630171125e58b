"""Trains the starter model's text encoder: a prompt's recipe can be read, by one linear head, from every position
from the end of the text on, so that a UNet finds it wherever its cross-attention looks.

    python text.py OUT --work WORK --head HEAD.safetensors

WORK keeps the state, so that an interrupted run goes on; OUT gets text_encoder/ beside the tokenizer/ that it reads.
"""

import argparse
import math
import random
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import minilm
import paraphrases
import prompts
import torch
import torch.nn.functional as F
import wording
from architecture import TEXT_WIDTH
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LAYERS, HEADS, WIDENED = 4, 4, 512
TOKENS = 77

BATCH = 64
CHUNK = 8  # batches sorted by length together, so that little is padding
RATE, DECAY, WARMUP = 1.5e-3, 0.02, 200
FULL_LENGTH = 0.08  # share of batches padded to TOKENS; the others' padding jumps ahead to random positions
PADDING = 7
EDGE = 0.25  # below this error the loss is quadratic: much sharper, and doubtful modifiers are read as none
IMITATION = 0.1  # weight of following MiniLM
LESSONS, IMITATED = 24_000, 32  # phrases with MiniLM's vectors, and how many of them a step sees


def make_model(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=WIDENED,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=TOKENS,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


@torch.no_grad()
def start_from(model: CLIPTextModel, tokenizer: CLIPTokenizer, teacher: minilm.MiniLM) -> None:
    """Token embeddings start as the principal components of MiniLM's vectors of the tokens' texts."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    vectors = teacher([token.removesuffix("</w>") for token in tokens])
    vectors = vectors - vectors.mean(0)
    _, _, components = torch.linalg.svd(vectors, full_matrices=False)
    embedding = vectors @ components[:TEXT_WIDTH].T
    model.get_input_embeddings().weight.copy_(embedding / embedding.std() * 0.1)


class Reader(nn.Module):
    """The text encoder with the two heads that only training and evaluation have."""

    def __init__(self, model: CLIPTextModel) -> None:
        super().__init__()
        self.text, self.recipe = model, nn.Linear(TEXT_WIDTH, prompts.RECIPE)
        self.meaning = nn.Linear(TEXT_WIDTH, minilm.MiniLM.WIDTH)

    def forward(self, ids: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        """ids: [batch, tokens] -> [batch, tokens, TEXT_WIDTH]. No mask: padding is read like text, as pipelines do."""
        return self.text(ids, position_ids=positions).last_hidden_state


def ends(ids: torch.Tensor, end: int) -> torch.Tensor:
    """[batch]: where each text ends."""
    return (ids == end).int().argmax(dim=1)


def recipe_loss(found: torch.Tensor, wanted: torch.Tensor, ids: torch.Tensor, end: int) -> torch.Tensor:
    """Smooth L1 between the recipe read at every position from the end token on and the prompt's own."""
    each = F.smooth_l1_loss(found, wanted[:, None].expand_as(found), reduction="none", beta=EDGE)
    each = each[..., : len(prompts.STYLES)].mean(-1) + each[..., len(prompts.STYLES) :].mean(-1)
    behind = (torch.arange(ids.shape[1]) >= ends(ids, end)[:, None]).float()
    return (each * behind).sum() / behind.sum()


def imitation_loss(reader: Reader, ids: torch.Tensor, vectors: torch.Tensor, end: int) -> torch.Tensor:
    """1 - cosine between MiniLM's vector of a phrase and what a linear head reads at its end."""
    hidden = reader(ids)[torch.arange(len(ids)), ends(ids, end)]
    return 1 - F.cosine_similarity(reader.meaning(hidden), vectors, dim=1).mean()


def positions_of(rng: random.Random, ids: torch.Tensor, end: int) -> torch.Tensor:
    """Consecutive for the text; the padding behind it jumps ahead, so that all 77 positions learn at any length."""
    rows = []
    for stop in (ends(ids, end) + 1).tolist():
        ahead = rng.sample(range(stop, TOKENS), ids.shape[1] - stop)
        rows.append([*range(stop), *sorted(ahead)])
    return torch.tensor(rows)


def batches(
    seed: int, codes: wording.Codes, thesaurus: wording.Thesaurus
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """ids, recipes and positions."""
    rng, end = random.Random(seed), codes.tokenizer.eos_token_id
    while True:
        texts, recipes = zip(*(thesaurus.sample(rng) for _ in range(BATCH * CHUNK)), strict=True)
        rows = [codes.respelled(rng, row) if rng.random() < 0.25 else row for row in codes(list(texts))]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        parts = [order[i::CHUNK] if rng.random() < 0.1 else order[i * BATCH : (i + 1) * BATCH] for i in range(CHUNK)]
        rng.shuffle(parts)
        for part in parts:
            chosen = [rows[i] for i in part]
            full = rng.random() < FULL_LENGTH
            if full:
                chosen = chosen[: BATCH // 3]
            length = TOKENS if full else min(TOKENS, max(map(len, chosen)) + rng.randint(1, PADDING))
            ids = wording.padded(chosen, end, length)
            wanted = torch.tensor([recipes[i] for i in part[: len(chosen)]])
            yield ids, wanted, None if full else positions_of(rng, ids, end)


def lessons(work: Path, seed: int, teacher: minilm.MiniLM) -> tuple[list[str], torch.Tensor]:
    """Phrases and MiniLM's vectors of them, about their mean; kept, as they take minutes to make."""
    texts = wording.phrases_of_english(random.Random(seed), LESSONS)
    file = work / f"lessons-{zlib.crc32(chr(0).join(texts).encode()):08x}.safetensors"
    if not file.exists():
        save_file({"vectors": teacher(texts)}, file)
    vectors = load_file(file)["vectors"]
    return texts, vectors - vectors.mean(0)


def rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARMUP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train(reader: Reader, tokenizer: CLIPTokenizer, arguments: argparse.Namespace) -> None:
    teacher = minilm.MiniLM()
    start_from(reader.text, tokenizer, teacher)
    thesaurus = wording.Thesaurus(teacher)
    wording.report(thesaurus)
    merges = (arguments.out / "tokenizer/merges.txt").read_text().splitlines()[1:]
    codes = wording.Codes(tokenizer, [tuple(line.split(" ")) for line in merges])
    texts, vectors = lessons(arguments.work, arguments.seed, teacher)
    lesson_ids, end = codes(texts), tokenizer.eos_token_id
    del teacher

    matrices = [p for p in reader.parameters() if p.ndim > 1]
    rest = [p for p in reader.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    state, step = arguments.work / "text.pt", 0
    if state.exists():
        saved = torch.load(state)
        reader.load_state_dict(saved["reader"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    # A resumed run draws other prompts than an uninterrupted one would have.
    rng = random.Random(f"{arguments.seed} {step}")
    stream = batches(rng.getrandbits(32), codes, thesaurus)
    began, sums = time.monotonic(), [0.0, 0.0]
    reader.train()
    while step < arguments.steps:
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate(step, arguments.steps)
        ids, wanted, positions = next(stream)
        loss = recipe_loss(reader.recipe(reader(ids, positions)), wanted, ids, end)
        drawn = sorted(rng.sample(range(len(texts)), IMITATED), key=lambda i: len(lesson_ids[i]))
        short = [lesson_ids[i][:16] for i in drawn if len(lesson_ids[i]) <= 16]
        kept = [i for i in drawn if len(lesson_ids[i]) <= 16]
        imitation = imitation_loss(reader, wording.padded(short, end, max(map(len, short))), vectors[kept], end)
        optimizer.zero_grad(set_to_none=True)
        (loss + IMITATION * imitation).backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        step += 1
        sums = [sums[0] + loss.item(), sums[1] + imitation.item()]
        if step % 100 == 0:
            means, sums = [value / 100 for value in sums], [0.0, 0.0]
            print(f"{step} recipe {means[0]:.4f} imitation {means[1]:.3f} {time.monotonic() - began:.0f} s", flush=True)
        if step % 500 == 0 or step == arguments.steps:
            partial = state.with_suffix(".partial")
            torch.save({"reader": reader.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, partial)
            partial.replace(state)


# Evaluation.

ODD = [
    "", " ", "\U0001f600", "\U0001f408 oil painting", "一只猫", "油画", "浮世絵", "акварель",
    "xqzv kjw plonk", "a photo of a cat", "a cat", "my cat", "a castle in a forest", "blue watercolour",
    "half pencil half neon",
    "slightly anime", "very dark oil painting", "red", "make it blue", "black and white", "sepia photo", "night",
    "watercolour with bold ink outlines", "oil painting, not pencil", "Monet meets Hokusai", "a girl in a red dress",
    "oil oil oil oil", "PENCIL!!!", "wtercolor paintng", "impressionist " * 40, "asdf 1234 ;;; DROP TABLE",
    "the quick brown fox jumps over the lazy dog", "photo, but as a comic", "misty neon harbour in teal", "Dalí",
]  # fmt: skip


@torch.no_grad()
def read(reader: Reader, tokenizer: CLIPTokenizer, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """[texts, RECIPE] averaged from the end token on, and how far the positions stray from it: [texts]."""
    found, stray = [], []
    for start in range(0, len(texts), 64):
        rows = tokenizer(texts[start : start + 64], truncation=True, max_length=TOKENS, padding="max_length").input_ids
        ids = torch.tensor(rows)
        recipes = reader.recipe(reader(ids))
        for row, stop in enumerate(ends(ids, tokenizer.eos_token_id).tolist()):
            behind = recipes[row, stop:]
            found.append(behind.mean(0))
            stray.append((behind - found[-1]).abs().max())
    return torch.stack(found), torch.stack(stray)


def shown(recipe: torch.Tensor) -> str:
    parts = [
        f"{name} {value:+.2f}" for name, value in zip(prompts.NAMES, recipe.tolist(), strict=True) if abs(value) > 0.05
    ]
    return ", ".join(parts) or "(the photo)"


def style_accuracy(reader: Reader, tokenizer: CLIPTokenizer, cases: dict[str, list[str]], name: str) -> None:
    pairs = [(style, text) for style, texts in cases.items() for text in texts]
    recipes, stray = read(reader, tokenizer, [text for _, text in pairs])
    best = recipes[:, : len(prompts.STYLES)].argmax(1).tolist()
    wrong = [
        f"  {text!r} ({style}): {shown(recipe)}"
        for (style, text), found, recipe in zip(pairs, best, recipes, strict=True)
        if prompts.STYLES[found] != style
    ]
    wanted = [recipes[i, prompts.STYLES.index(style)] for i, (style, _) in enumerate(pairs)]
    print(f"{name}: {100 * (1 - len(wrong) / len(pairs)):.1f} % of {len(pairs)}, mean weight of the style")
    print(
        f"  {torch.stack(wanted).mean():.3f}, least {torch.stack(wanted).min():.2f}, positions stray {stray.max():.3f}"
    )
    print("\n".join(wrong))


def evaluate(reader: Reader, tokenizer: CLIPTokenizer) -> None:
    reader.eval()
    style_accuracy(reader, tokenizer, prompts.CANONICAL, "canonical")
    style_accuracy(reader, tokenizer, paraphrases.HELD_OUT, "held out")
    style_accuracy(reader, tokenizer, paraphrases.UNKNOWN, "held out, of unknown words")
    rng = random.Random(2**40)
    texts, wanted = zip(*(prompts.sample(rng) for _ in range(2000)), strict=True)
    found, stray = read(reader, tokenizer, list(texts))
    errors = (found - torch.tensor(wanted)).abs()
    print(f"fresh prompts: mean absolute error {errors.mean():.4f}, of styles {errors[:, :10].mean():.4f}", end="")
    print(f", of modifiers {errors[:, 10:].mean():.4f}; positions stray {stray.mean():.4f}, at most {stray.max():.3f}")
    for i in errors.mean(1).topk(12).indices.tolist():
        print(f"  {texts[i]!r}: {shown(found[i])} | wanted {shown(torch.tensor(wanted[i]))}")
    found, _ = read(reader, tokenizer, [text for text, _ in paraphrases.MIXED])
    wanted = torch.tensor([prompts.vector(recipe) for _, recipe in paraphrases.MIXED])
    print(f"mixed, held out: mean absolute error {(found - wanted).abs().mean():.4f}")
    for (text, _), recipe in zip(paraphrases.MIXED, found, strict=True):
        print(f"  {text!r}: {shown(recipe)}")
    print("odd:")
    for text, recipe in zip(ODD, read(reader, tokenizer, ODD)[0], strict=True):
        print(f"  {text[:60]!r}: {shown(recipe)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the model's folder, with its tokenizer/")
    parser.add_argument("--work", type=Path, required=True, help="folder for what resuming needs")
    parser.add_argument("--head", type=Path, required=True, help="file for the linear head, which no model needs")
    parser.add_argument("--steps", type=int, default=3800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.work.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(arguments.out / "tokenizer")
    reader = Reader(make_model(tokenizer))
    train(reader, tokenizer, arguments)
    reader.text.half().save_pretrained(arguments.out / "text_encoder")
    reader.text.float()
    save_file({name: value.contiguous() for name, value in reader.recipe.state_dict().items()}, arguments.head)
    evaluate(reader, tokenizer)


if __name__ == "__main__":
    main()
