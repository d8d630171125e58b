"""Makes docs/styles.jpg with a built binary: the rendered scene and what the built-in model makes of it."""

import argparse
import subprocess
import tempfile
from pathlib import Path

import scene
from PIL import Image, ImageDraw, ImageFont

PROMPTS = (
    "oil painting", "watercolour", "pencil sketch", "cyberpunk neon", "anime film", "HDR photograph",
    "impressionist painting", "dark fantasy", "ukiyo-e woodblock print", "pop art",
    "watercolour with bold ink outlines",
)  # fmt: skip
COLUMNS, TILE, LABEL, GAP = 4, 320, 26, 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "scene.png"), Path(folder, "made.png")
        scene.render().save(source)
        tiles = [("the picture", Image.open(source).copy())]
        for prompt in PROMPTS:
            command = [args.binary, "image", "--input", source, "--prompt", prompt, "--output", made]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            tiles.append((prompt, Image.open(made).copy()))
    sheet(tiles).save(args.output, quality=86, optimize=True)


def sheet(tiles: list[tuple[str, Image.Image]]) -> Image.Image:
    rows = -(-len(tiles) // COLUMNS)
    step_x, step_y = TILE + GAP, TILE + LABEL + GAP
    whole = Image.new("RGB", (COLUMNS * step_x - GAP, rows * step_y - GAP), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(15)
    for index, (label, picture) in enumerate(tiles):
        x, y = index % COLUMNS * step_x, index // COLUMNS * step_y
        whole.paste(picture.resize((TILE, TILE), Image.LANCZOS), (x, y))
        draw.text((x + TILE / 2, y + TILE + LABEL / 2), label, fill="#222", font=font, anchor="mm")
    return whole


if __name__ == "__main__":
    main()
