"""The photographs of a folder, as scripts take them by an option."""

import argparse
from pathlib import Path

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def photographs(folder: str) -> list[Path]:
    """By name, numbers in their order. For argparse: its user is told what is wrong with the folder."""
    path = Path(folder)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is not a folder")
    found = [file for file in path.iterdir() if file.suffix.lower() in ENDINGS]
    if not found:
        raise argparse.ArgumentTypeError(f"{folder} holds no picture ({', '.join(sorted(ENDINGS))})")
    return sorted(found, key=lambda file: (len(file.stem), file.name))
