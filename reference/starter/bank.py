"""Writes the prompts that the UNet is trained on: token ids [prompts, 77] and recipes [prompts, 17]."""

import argparse
import random
from pathlib import Path

import prompts
import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer

# So many of each style's plain prompts beside the grammar's, since they are what is typed most.
CANONICAL_COPIES = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    pairs = [prompts.sample(rng) for _ in range(args.count)]
    for index, style in enumerate(prompts.STYLES):
        recipe = [float(i == index) for i in range(prompts.RECIPE)]
        pairs += [(text, recipe) for text in prompts.CANONICAL[style]] * CANONICAL_COPIES
    tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
    texts = [text for text, _ in pairs]
    ids = tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    recipes = torch.tensor([list(recipe) for _, recipe in pairs], dtype=torch.float16)
    save_file({"ids": ids.to(torch.int16), "recipes": recipes}, args.output)


if __name__ == "__main__":
    main()
