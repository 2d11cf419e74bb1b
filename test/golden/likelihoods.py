#!/usr/bin/env python3
"""Golden reference of the likelihoods: negative log-likelihoods and gradients in PyTorch float64.

The densities are those of torch.distributions and torch.nn.functional, the gradients PyTorch's autograd; nothing is shared
with the library. Inputs come from an integer generator that the test repeats, so the file holds results alone. README.md
beside this file says how to regenerate.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Laplace, Normal

SAMPLES, BATCH = 3, 2
LEAST = 1e-3  # the least learned or predicted scale, in units of the spread
torch.set_default_dtype(torch.float64)


def draw(size, seed, low, high):
    """Numbers in [low, high) from a linear congruential generator, rounded to float32."""
    state, out = seed, []
    for _ in range(size):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(low + (state / 2**32) * (high - low))
    return torch.tensor(np.array(out, dtype=np.float32).astype(np.float64))


def f32(values):
    return torch.tensor(np.array(values, dtype=np.float32).astype(np.float64))


def rows(targets):
    """[B, ...] again for each Monte-Carlo sample."""
    return targets.repeat((SAMPLES,) + (1,) * (targets.dim() - 1))


def categorical(output, targets, _):
    return F.cross_entropy(output, rows(targets), reduction="none")


def bernoulli(output, targets, _):
    return F.binary_cross_entropy_with_logits(output, rows(targets), reduction="none").sum(1)


def numbers(family, noise, center, spread):
    center, spread = f32(center), f32(spread)

    def nll(output, targets, log_scale):
        raw = None
        if noise == "predicted":
            output, raw = output.chunk(2, dim=-1)
        mean = output * spread + center
        if noise == "predicted":
            scale = (F.softplus(raw, threshold=1e9) + LEAST) * spread
        elif noise == "learned":
            scale = (log_scale.exp() + LEAST) * spread
        else:
            scale = f32([noise])
        return -family(mean, scale.expand_as(mean)).log_prob(rows(targets)).flatten(1).sum(1)

    return nll


def result(name, nll, output, targets, options, log_scale=None):
    output = output.clone().requires_grad_()
    scale = None if log_scale is None else f32(log_scale).requires_grad_()
    values = nll(output, targets, scale)
    weights = torch.arange(1, len(values) + 1) / 4  # exact, and another for each row
    (weights * values).sum().backward()
    assert all(torch.isfinite(t).all() for t in (values, output.grad))
    return {
        "name": name,
        "likelihood": options,
        "outputShape": list(output.shape),
        "nll": digits(values),
        "gradient": digits(output.grad),
        **({} if scale is None else {"logScale": log_scale, "scaleGradient": digits(scale.grad)}),
    }


def digits(t):
    return [float(f"{v:.10g}") for v in t.flatten().tolist()]


R = SAMPLES * BATCH
cases = []

logits = draw(R * 5, 11, -4, 4).reshape(R, 5)
cases.append(result("categorical", categorical, logits, torch.tensor([3, 0]), {"kind": "categorical", "classes": 5}))
cases[-1] |= {"output": [11, -4, 4], "classes": [3, 0]}
extreme = f32([[100, -100, 0], [-100, 100, 100], [-100, -100, -100], [100, 100, -100], [-100, 0, 100], [0, -100, 100]])
cases.append(result("categorical, logits of 100", categorical, extreme, torch.tensor([1, 0]), {"kind": "categorical", "classes": 3}))
cases[-1] |= {"outputs": extreme.flatten().tolist(), "classes": [1, 0]}

for labels in (1, 4):
    output, targets = draw(R * labels, 21, -5, 5).reshape(R, labels), draw(BATCH * labels, 22, 0, 1).reshape(BATCH, labels)
    options = {"kind": "bernoulli", "labels": labels}
    cases.append(result(f"bernoulli, {labels} labels, soft", bernoulli, output, targets, options))
    cases[-1] |= {"output": [21, -5, 5], "target": [22, 0, 1]}
    cases.append(result(f"bernoulli, {labels} labels, hard", bernoulli, output, targets.round(), options))
    cases[-1] |= {"output": [21, -5, 5], "targets": targets.round().flatten().tolist()}
    big = f32([100.0 if (i % 3) else -100.0 for i in range(R * labels)]).reshape(R, labels)
    hard = f32([float(i % 2) for i in range(BATCH * labels)]).reshape(BATCH, labels)
    cases.append(result(f"bernoulli, {labels} labels, logits of 100", bernoulli, big, hard, options))
    cases[-1] |= {"outputs": big.flatten().tolist(), "targets": hard.flatten().tolist()}

for kind, family in (("gaussian", Normal), ("laplace", Laplace)):
    for shape, center, spread in (((3,), [1.5, -2, 50], [0.5, 3, 20]), ((4, 5, 2), [-3, 10], [2, 0.25]), ((3,), [0], [1])):
        for noise in (2.5, "learned", "predicted"):
            out_shape = (R,) + shape[:-1] + (shape[-1] * (2 if noise == "predicted" else 1),)
            output = draw(math.prod(out_shape), 31, -2, 2).reshape(out_shape)
            unit = draw(BATCH * math.prod(shape), 32, -3, 3).reshape((BATCH,) + shape)
            targets = f32((unit * f32(spread) + f32(center)).tolist())
            options = {"kind": kind, "noise": noise, "center": center, "spread": spread}
            log_scales = [-0.75 + 0.25 * column for column in range(shape[-1])]
            density = numbers(family, noise, center, spread)
            name = f"{kind}, noise {noise}, targets {list(shape)} around {center}"
            cases.append(result(name, density, output, targets, options, log_scales if noise == "learned" else None))
            cases[-1] |= {"output": [31, -2, 2], "unit": [32, -3, 3], "targetShape": list(shape)}

    # scales at the floor and far above it, a hit and targets a million scales away
    density = numbers(family, "predicted", [0], [1])
    output = f32([[0, -100], [0, 100], [3, -100], [1000, -20], [-5, 0], [0, -5]])
    targets = f32([[0], [1000]])
    cases.append(result(f"{kind}, extreme scales", density, output, targets, {"kind": kind, "noise": "predicted", "center": [0], "spread": [1]}))
    cases[-1] |= {"outputs": output.flatten().tolist(), "targets": targets.flatten().tolist(), "targetShape": [1]}
    density = numbers(family, "learned", [0], [1])
    output = f32([[0], [1000], [-1e6], [0], [1], [1e-3]])
    cases.append(result(f"{kind}, a small learned scale", density, output, targets, {"kind": kind, "noise": "learned", "center": [0], "spread": [1]}, [-8]))
    cases[-1] |= {"outputs": output.flatten().tolist(), "targets": targets.flatten().tolist(), "targetShape": [1]}

path = pathlib.Path(__file__).with_suffix(".json")
lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
path.write_text(f'{{"samples":{SAMPLES},"batch":{BATCH},"cases":[\n{lines}\n]}}\n')
print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes, PyTorch {torch.__version__}")
