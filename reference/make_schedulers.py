"""Writes fixtures/schedulers: what diffusers' schedulers do, step by step, under the configurations of checkpoints."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import diffusers
import torch

from common import FIXTURES, generator, meta, randn

FOLDER = FIXTURES / "schedulers"
SHAPE = (1, 4, 1, 2)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
SD15 = {
    **BETAS, "_class_name": "PNDMScheduler", "clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "trained_betas": None,
}  # fmt: skip
TURBO = {
    **BETAS, "_class_name": "EulerDiscreteScheduler", "clip_sample": False, "interpolation_type": "linear",
    "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "timestep_spacing": "trailing", "trained_betas": None, "use_karras_sigmas": False,
}  # fmt: skip
V = {"prediction_type": "v_prediction"}
ZERO_SNR = {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
SPACINGS = {f"{name}-spacing": {"timestep_spacing": name} for name in ("leading", "linspace", "trailing")}
COMMON = {
    **SPACINGS,
    "offset": {"timestep_spacing": "leading", "steps_offset": 1},
    "v-prediction": V,
    "sample-prediction": {"prediction_type": "sample"},
    "linear-betas": {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    "cosine-betas": {"beta_schedule": "squaredcos_cap_v2"},
    "trained-betas": {"trained_betas": [0.001 + 0.00001 * i for i in range(100)], "num_train_timesteps": 100},
}

# class -> {case: config}, on top of COMMON (less what the class cannot do).
SPECIAL: dict[str, dict[str, dict]] = {
    "EulerDiscreteScheduler": {
        "karras": {"use_karras_sigmas": True},
        "karras-sd15": {**SD15, "use_karras_sigmas": True},
        "log-linear": {"interpolation_type": "log_linear"},
        "final-sigma-min": {"final_sigmas_type": "sigma_min"},
        "sigma-range": {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 12.0},
        "zero-snr": ZERO_SNR,
    },
    "EulerAncestralDiscreteScheduler": {"zero-snr": ZERO_SNR},
    "DDIMScheduler": {
        "alpha-not-one": {"set_alpha_to_one": False, "clip_sample": False, "steps_offset": 1},
        "no-clip": {"clip_sample": False},
        "clip-range": {"clip_sample": True, "clip_sample_range": 0.5},
        "zero-snr": {**ZERO_SNR, "clip_sample": False},
    },
    "LCMScheduler": {
        "dreamshaper": {"original_inference_steps": 50, "set_alpha_to_one": True, "timestep_scaling": 10.0},
        "original-100": {"original_inference_steps": 100},
        "scaling": {"timestep_scaling": 5.0},
        "clip": {"clip_sample": True, "clip_sample_range": 0.8},
        "alpha-not-one": {"set_alpha_to_one": False},
    },
    "DPMSolverMultistepScheduler": {
        "karras": {"use_karras_sigmas": True},
        "heun": {"solver_type": "heun"},
        "order-1": {"solver_order": 1},
        "euler-at-final": {"euler_at_final": True},
        "no-lower-order": {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
        "final-sigma-min": {"final_sigmas_type": "sigma_min"},
        "lu": {"use_lu_lambdas": True},
        "zero-snr": {**ZERO_SNR, "timestep_spacing": "trailing"},
    },
    "PNDMScheduler": {},
}  # fmt: skip
# Configurations that a class has no field for or that end in NaN there.
LACKS = {
    "LCMScheduler": {*SPACINGS, "trained-betas", "offset"},
    "PNDMScheduler": {"linspace-spacing", "trailing-spacing", "sample-prediction", "trained-betas"},
    "EulerDiscreteScheduler": {"sample-prediction"},
    "EulerAncestralDiscreteScheduler": {"sample-prediction", "cosine-betas"},
}
# (steps, strength); without a strength the run starts from pure noise.
RUNS = [(4, None), (7, 0.6)]
SD_RUNS = [(1, None), (1, 1.0), (2, 0.5), (3, None), (20, 0.75), (30, 0.1), (50, 0.3)]


@contextmanager
def recorded_noise(scheduler: object) -> Iterator[list[torch.Tensor]]:
    """Collects what the scheduler draws through randn_tensor."""
    drawn: list[torch.Tensor] = []
    source = generator(99)

    def draw(shape: torch.Size, **_: object) -> torch.Tensor:
        drawn.append(torch.randn(shape, generator=source))
        return drawn[-1]

    with mock.patch(f"{type(scheduler).__module__}.randn_tensor", draw, create=True):
        yield drawn


def floats(tensor: torch.Tensor) -> list[float]:
    """The values with the nine digits that identify an f32."""
    return [float(f"{value:.9g}") for value in tensor.double().flatten().tolist()]


def start(scheduler: object, steps: int, strength: float | None, case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """The first sample and the timesteps left to run, as diffusers' pipelines choose them."""
    noise, x0 = randn(1, *SHAPE), randn(2, *SHAPE)
    scheduler.set_timesteps(steps)
    case["noise"] = floats(noise)
    if strength is None:
        case["begin"] = 0
        return noise * scheduler.init_noise_sigma, scheduler.timesteps
    begin = max(steps - min(int(steps * strength), steps), 0) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:]
    sample = scheduler.add_noise(x0, noise, timesteps[:1])
    case |= {"begin": begin, "x0": floats(x0), "noised": floats(sample)}
    return sample, timesteps


def trajectory(name: str, config: dict, steps: int, strength: float | None) -> dict:
    scheduler = getattr(diffusers, name).from_config(config)
    case = {"scheduler": name, "config": config, "steps": steps, "strength": strength}
    field = 0.5 * torch.cos(torch.arange(8.0)).reshape(SHAPE)
    with recorded_noise(scheduler) as drawn:
        sample, timesteps = start(scheduler, steps, strength, case)
        case |= {"timesteps": floats(scheduler.timesteps), "init_noise_sigma": float(scheduler.init_noise_sigma)}
        if hasattr(scheduler, "sigmas"):
            case["sigmas"] = floats(scheduler.sigmas)
        case |= {"field": floats(field), "first_sample": floats(sample), "trace": []}
        for t in timesteps:
            scaled = scheduler.scale_model_input(sample, t)
            output = 0.3 * scaled + field
            before = len(drawn)
            sample = scheduler.step(output, t, sample, return_dict=False)[0]
            step = {"scaled_input": floats(scaled), "model_output": floats(output), "prev_sample": floats(sample)}
            if len(drawn) > before:
                step["noise"] = floats(drawn[-1])
            case["trace"].append(step)
    assert all(torch.isfinite(torch.tensor(step["prev_sample"])).all() for step in case["trace"]), (name, config)
    return case


def cases(name: str) -> list[dict]:
    """Each configuration in short runs, then the two most common ones at more step counts and strengths."""
    configs = {**COMMON, **SPECIAL[name]}
    out = []
    for label, extra in configs.items():
        if label in LACKS.get(name, ()):
            continue
        config = {"_class_name": name, **BETAS, **extra}
        out += [{"name": f"{label}-{s}-{st}", **trajectory(name, config, s, st)} for s, st in RUNS]
    for label, config in {"sd15": SD15, "turbo": TURBO}.items():
        if name != "PNDMScheduler" or label == "sd15":
            out += [{"name": f"{label}-{s}-{st}", **trajectory(name, config, s, st)} for s, st in SD_RUNS]
    return out


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in SPECIAL:
        written = cases(name)
        lines = ",\n".join(json.dumps(case) for case in written)
        head = f'{{"meta": {json.dumps(meta(__file__))}, "shape": {list(SHAPE)}, "cases": [\n'
        (FOLDER / f"{name}.json").write_text(f"{head}{lines}\n]}}\n")
        print(name, len(written))


if __name__ == "__main__":
    main()
