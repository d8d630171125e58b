"""Times every layer with direct and with chosen convolutions in alternating rounds, and writes a record.

Needs Python alone. Each variant has the hash of its picture and the PSNR to that of the first, direct in f32.
"""

import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from array import array
from pathlib import Path

from machine import machine

BEFORE, AFTER = "direct", "auto"
# Between the names of the first and the last of the layers that one kernel computes.
TO = " .. "
OF_A_LAYER = ("name", "op", "output", "gflop")
OF_A_VARIANT = ("output_hash", "weight_bytes", "arena_bytes")


def run(arguments: argparse.Namespace, precision: str, convolutions: str, picture: Path) -> dict:
    """What `laterna bench --per-layer --json` prints; the last frame's picture is left in a file."""
    command = [arguments.laterna.resolve(), "bench", "--per-layer", "--json", "--output", picture]
    command += ["--precision", precision, "--convolutions", convolutions]
    for name in ("model", "size", "threads", "frames"):
        command += [f"--{name}", getattr(arguments, name)]
    out = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def values(path: Path) -> array:
    """The values of a safetensors file that holds one f32 tensor."""
    data = path.read_bytes()
    (head,) = struct.unpack_from("<Q", data)
    found = array("f")
    found.frombytes(data[8 + head :])
    return found


def psnr_db(a: array, b: array) -> float | None:
    """Of pictures in -1..1; none where they are the same."""
    error = math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)
    return 10 * math.log10(4 / error) if error > 0 else None


def joined(layers: list[dict], spans: dict[str, str]) -> list[dict]:
    """The same with layers that some variant computes as one taken together; by the first's name the last's."""
    rows: list[dict] = []
    last = None
    for layer in layers:
        if last is None:
            rows.append(layer | {"kernels": []})
            last = spans.get(layer["name"])
        else:
            rows[-1] |= {key: rows[-1][key] + layer[key] for key in ("median_ms", "gflop")}
            rows[-1] |= {"name": f"{rows[-1]['name'].split(TO)[0]}{TO}{layer['name']}", "output": layer["output"]}
        if layer["kernel"] not in rows[-1]["kernels"]:
            rows[-1]["kernels"].append(layer["kernel"])
        if last == layer["name"] or TO in layer["name"]:
            last = None
    return rows


def spans_of(runs: dict[str, list[dict]]) -> dict[str, str]:
    names = [layer["name"] for benches in runs.values() for layer in benches[0]["layers"]]
    return dict(name.split(TO) for name in names if TO in name)


def layers(runs: dict[str, list[dict]]) -> list[dict]:
    """By layer the median of the rounds' medians of each variant, and what follows from it."""
    spans = spans_of(runs)
    tables = {name: [joined(bench["layers"], spans) for bench in benches] for name, benches in runs.items()}
    first = next(iter(tables.values()))[0]
    rows = []
    for index, layer in enumerate(first):
        row = {key: layer[key] for key in OF_A_LAYER}
        for variant, benches in runs.items():
            same = [table[index] for table in tables[variant]]
            assert all(found["name"] == layer["name"] for found in same), "every variant has the same layers"
            row[variant] = of_layer(same, benches)
        rows.append(row)
    return rows


def of_layer(same: list[dict], benches: list[dict]) -> dict:
    ms = statistics.median(layer["median_ms"] for layer in same)
    found = {"kernel": ", ".join(same[0]["kernels"]), "median_ms": ms}
    if same[0]["gflop"] and ms:
        rate = 1e3 * same[0]["gflop"] / ms
        ceiling = statistics.median(bench["ceiling_gflops"] for bench in benches)
        found |= {"gflops": rate, "share_of_f32_ceiling": rate / ceiling}
    return found


def whole(benches: list[dict], picture: array, expected: array) -> dict:
    samples = [bench["frame"]["median_ms"] for bench in benches]
    facts = {key: benches[0][key] for key in OF_A_VARIANT}
    ceilings = [bench["ceiling_gflops"] for bench in benches]
    return {"median_ms": statistics.median(samples), "samples_ms": samples, **facts, "ceiling_gflops": ceilings} | {
        "psnr_db": psnr_db(picture, expected)
    }


def measure(arguments: argparse.Namespace, folder: Path) -> dict:
    pairs = [(precision, convolutions) for precision in arguments.precisions for convolutions in (BEFORE, AFTER)]
    runs: dict[str, list[dict]] = {" ".join(pair): [] for pair in pairs}
    pictures = {}
    for number in range(arguments.rounds):
        for name, pair in zip(runs, pairs, strict=True):
            file = folder / "picture.safetensors"
            runs[name].append(run(arguments, *pair, file))
            pictures[name] = values(file)
        print(f"round {number + 1} of {arguments.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    for name, benches in runs.items():
        assert len({bench["output_hash"] for bench in benches}) == 1, f"{name}: every round makes the same picture"
    expected = next(iter(pictures.values()))
    frames = {name: whole(benches, pictures[name], expected) for name, benches in runs.items()}
    return {"frame": frames, "layers": layers(runs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("laterna", type=Path, help="the binary")
    parser.add_argument("record", type=Path, help="JSON file to write")
    parser.add_argument("--model", default="starter", help="diffusers folder, or a name that laterna knows")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=5, help="timed frames of each variant in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16", "int8"])
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = measure(arguments, Path(folder))
    settings = {name: getattr(arguments, name) for name in ("size", "threads", "frames", "rounds")}
    command = " ".join(["layers.py", *(f"--{name} {value}" for name, value in settings.items())])
    # A record is of no machine's folders.
    head = {"command": command, "model": Path(arguments.model).name, "machine": machine(), "load_at_start": load}
    arguments.record.write_text(json.dumps(head | result, indent=1) + "\n")
    print(json.dumps(result["frame"], indent=1))


if __name__ == "__main__":
    main()
