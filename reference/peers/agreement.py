"""How far pictures and outputs are from those that they should be."""

import numpy as np


def psnr_db(a: np.ndarray, b: np.ndarray) -> float | None:
    """Of pictures whose values are in 0..1, over all channels; None where they are the same."""
    error = np.square(a.astype(np.float64) - b).mean()
    return float(-10 * np.log10(error)) if error > 0 else None


def distance(outputs: tuple, expected: tuple) -> dict[str, float | None]:
    """max |error| / max |reference| of both outputs, and the picture's PSNR; pictures are in [-1, 1]."""
    pairs = zip(("picture", "eps"), outputs, expected, strict=True)
    found = {name: float(np.abs(a - b).max() / np.abs(b).max()) for name, a, b in pairs}
    a, b = (np.clip(picture / 2 + 0.5, 0, 1) for picture in (outputs[0], expected[0]))
    return {**found, "psnr_db": psnr_db(a, b)}
