#!/usr/bin/env python3
"""Golden reference: ten SGD steps of a Bayesian LeNet-5 in PyTorch float64, written from the equations alone.

Nothing here is shared with the library: noise comes from a NumPy Philox4x32-10 and an exact Box-Muller, gradients from
PyTorch's autograd, convolutions from PyTorch. README.md beside this file describes what is written, and why.

    y = conv(x, mu) + mu_b + sqrt(v) * eps,   v = conv(x^2, sigma^2) + sigma_b^2,   sigma = softplus(rho)
        (local reparameterization: Kingma, Salimans, Welling 2015; arXiv 1901.02731, eq. 4.1)
    loss = mean cross-entropy of the batch + (beta / N) * KL(q || p)
    KL(N(mu, sigma^2) || N(0, s^2)) = log(s / sigma) + (sigma^2 + mu^2) / (2 s^2) - 1/2,  summed over all weights and biases
"""

import gzip
import json
import math
import pathlib
import struct

import numpy as np
import torch
import torch.nn.functional as F

STEPS, BATCH, CLASSES = 10, 64, 10
LEARNING_RATE = 0.01
PRIOR_SIGMA = 0.1
BETA = 1.0
DATA_SIZE = STEPS * BATCH  # N of the ELBO
SEED = (0x1F123 << 32) + 0x9E3779B9  # both key words in use
# Max pooling has a kink where two inputs tie; there float32 and float64 may choose differently, and no tolerance is
# meaningful. An image with a pooling window closer to a tie than this is replaced by another of its class.
MIN_GAP = 2e-5

# name, weight shape in the library's layout ([kh, kw, in, out] or [in, out]); the stream is the position in this list
LAYERS = [
    ("conv1", (5, 5, 1, 6)),
    ("conv2", (5, 5, 6, 16)),
    ("fc1", (400, 120)),
    ("fc2", (120, 84)),
    ("fc3", (84, 10)),
]
OUTPUT_MAPS = {"conv1": (28, 28), "conv2": (10, 10)}  # a linear layer has one pixel


# --- noise ------------------------------------------------------------------------------------------------------------


def philox4x32(counter, key, rounds=10):
    """Philox4x32 of Salmon et al. (SC 2011). counter: four arrays of uint32, key: two integers; four arrays back."""
    mask = np.uint64(0xFFFFFFFF)
    c = [np.asarray(word, dtype=np.uint64) & mask for word in counter]
    k0, k1 = key
    for _ in range(rounds):
        product0 = c[0] * np.uint64(0xD2511F53)
        product1 = c[2] * np.uint64(0xCD9E8D57)
        c = [
            (product1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            product1 & mask,
            (product0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            product0 & mask,
        ]
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def check_philox():
    """Known-answer vectors of the authors' Random123 distribution."""
    full, pi = 0xFFFFFFFF, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    for counter, key, expected in [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((full,) * 4, (full,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (pi, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ]:
        assert tuple(int(word) for word in philox4x32(counter, key)) == expected


def normals(seed, stream, step, rows, pixels, channels, sample=0):
    """Standard normals [rows, pixels, channels]: one Philox call for four neighbouring channels of one pixel."""
    quads = -(-channels // 4)
    row, pixel, quad = np.meshgrid(np.arange(rows), np.arange(pixels), np.arange(quads), indexing="ij")
    words = philox4x32(
        (pixel * quads + quad, row, np.full_like(row, step), np.full_like(row, stream * 65536 + sample)),
        (seed & 0xFFFFFFFF, seed >> 32),
    )
    out = np.empty((rows, pixels, quads, 4))
    for pair in (0, 2):
        radius = np.sqrt(-2.0 * np.log((words[pair].astype(np.float64) + 0.5) * 2.0**-32))
        angle = 2.0 * math.pi * words[pair + 1].astype(np.float64) * 2.0**-32
        out[..., pair] = radius * np.cos(angle)
        out[..., pair + 1] = radius * np.sin(angle)
    return out.reshape(rows, pixels, quads * 4)[..., :channels]


def layer_noise(seed, stream, step, rows=BATCH):
    """Noise of a layer in the library's layout: [rows, h, w, channels] or [rows, channels]."""
    name, shape = LAYERS[stream]
    height, width = OUTPUT_MAPS.get(name, (1, 1))
    noise = normals(seed, stream, step, rows, height * width, shape[-1])
    return noise.reshape(rows, height, width, -1) if name in OUTPUT_MAPS else noise.reshape(rows, -1)


# --- data and initial parameters --------------------------------------------------------------------------------------


def make_image(rng, label):
    """uint8 [28, 28, 1]: two Gaussian bumps, whose place tells the class, on a noisy ground."""
    y, x = np.mgrid[0:28, 0:28]
    angle = 2 * math.pi * label / CLASSES
    image = rng.uniform(0, 40, (28, 28))
    for turn, strength in ((0.0, 200), (2.2, 120)):
        centre_y = 13.5 + 8 * math.sin(angle + turn) + rng.uniform(-1, 1)
        centre_x = 13.5 + 8 * math.cos(angle + turn) + rng.uniform(-1, 1)
        image += strength * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / 18)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)[:, :, None]


def to_float(images):
    """The pixels exactly as a float32 program sees them: Math.fround(byte / 255)."""
    return torch.tensor((images.astype(np.float32) / np.float32(255)).astype(np.float64))


def make_parameters():
    """
    float32 arrays by name, in the library's layout: mu ~ N(0, 1 / fan-in), biases ~ N(0, 0.05^2), rho ~ N(-3, 0.5^2).
    At a customary rho of -5 the gradient of rho is 99.6 % KL, and an error in the noise's share would hide behind it.
    """
    rng = np.random.RandomState(1901)
    parameters = {}
    for name, shape in LAYERS:
        fan_in = int(np.prod(shape[:-1]))
        parameters[f"{name}.weight.mu"] = rng.normal(0, 1 / math.sqrt(fan_in), shape)
        parameters[f"{name}.weight.rho"] = rng.normal(-3, 0.5, shape)
        parameters[f"{name}.bias.mu"] = rng.normal(0, 0.05, shape[-1:])
        parameters[f"{name}.bias.rho"] = rng.normal(-3, 0.5, shape[-1:])
    return {name: value.astype(np.float32) for name, value in parameters.items()}


# --- the network ------------------------------------------------------------------------------------------------------


def stochastic(p, name, x, eps):
    """One Bayesian layer by local reparameterization. x: NCHW or [batch, in]; eps in the library's layout (NHWC)."""
    mu, sigma2 = p[f"{name}.weight.mu"], F.softplus(p[f"{name}.weight.rho"]) ** 2
    bias_mu, bias_sigma2 = p[f"{name}.bias.mu"], F.softplus(p[f"{name}.bias.rho"]) ** 2
    if mu.dim() == 2:
        mean, variance = x @ mu + bias_mu, (x * x) @ sigma2 + bias_sigma2
    else:
        padding = 2 if name == "conv1" else 0
        mean = F.conv2d(x, mu.permute(3, 2, 0, 1), bias_mu, padding=padding)
        variance = F.conv2d(x * x, sigma2.permute(3, 2, 0, 1), bias_sigma2, padding=padding)
        eps = eps.permute(0, 3, 1, 2)
    return mean + torch.sqrt(variance) * eps


def pool(x, source, gaps):
    """
    2x2 max pooling. Appends to `gaps` each example's narrowest gap between the best two of a window.
    `source`: the image below a first convolution; a tie of two places with the same 5x5 patch there changes no gradient.
    """
    with torch.no_grad():
        windows = F.unfold(x.flatten(0, 1)[:, None], 2, stride=2)  # [batch * channels, 4, windows]
        best, where = windows.topk(2, dim=1)
        gap = best[:, 0] - best[:, 1]
        if source is not None:
            patches = F.unfold(source, 5, padding=2)  # [batch, 25, 784]
            batch, channels = x.shape[0], x.shape[1]
            top = torch.arange(0, 28, 2)
            origin = (top[:, None] * 28 + top[None, :]).reshape(1, 1, -1)
            index = (origin + (where // 2) * 28 + where % 2).reshape(batch, channels, 2, -1)
            first, second = (
                torch.gather(patches, 2, index[:, :, i].reshape(batch, 1, -1).expand(-1, 25, -1)) for i in (0, 1)
            )
            gap[(first - second).abs().amax(1).reshape(gap.shape) <= 1e-3] = math.inf
        gaps.append(gap.reshape(x.shape[0], -1).amin(1))
    return F.max_pool2d(x, 2)


def forward(p, images, eps, gaps):
    """Logits [batch, 10] of images [batch, 28, 28, 1]; eps: the five layers' noise."""
    x = images.permute(0, 3, 1, 2)
    h = pool(F.softplus(stochastic(p, "conv1", x, eps[0])), x, gaps)  # [batch, 6, 14, 14]
    h = pool(F.softplus(stochastic(p, "conv2", h, eps[1])), None, gaps)  # [batch, 16, 5, 5]
    h = h.permute(0, 2, 3, 1).flatten(1)  # H, W, C order
    h = F.softplus(stochastic(p, "fc1", h, eps[2]))
    h = F.softplus(stochastic(p, "fc2", h, eps[3]))
    return stochastic(p, "fc3", h, eps[4])


def kl(p):
    total = torch.zeros((), dtype=torch.float64)
    for name in p:
        if name.endswith(".mu"):
            mu, sigma = p[name], F.softplus(p[name[:-2] + "rho"])
            term = torch.log(PRIOR_SIGMA / sigma) + (sigma**2 + mu**2) / (2 * PRIOR_SIGMA**2) - 0.5
            total = total + term.sum()
    return total


def draw_batch(rng, p, eps):
    """64 images clear of pooling ties under these parameters and this noise, their labels, and the narrowest gap."""
    labels = rng.randint(0, CLASSES, BATCH)
    images = np.stack([make_image(rng, label) for label in labels])
    while True:
        gaps = []
        with torch.no_grad():
            forward(p, to_float(images), eps, gaps)
        gap = torch.stack(gaps).amin(0)
        close = np.flatnonzero(gap.numpy() < MIN_GAP)
        if len(close) == 0:
            return images, labels.astype(np.int32), float(gap.min())
        for row in close:
            images[row] = make_image(rng, labels[row])


def train(parameters):
    """Ten steps of SGD from `parameters`; returns a list with the data, scalars and gradients of each."""
    rng = np.random.RandomState(20190108)  # MT19937: NumPy keeps this stream stable for ever
    current, steps = dict(parameters), []
    for step in range(STEPS):
        p = {name: torch.tensor(value.astype(np.float64), requires_grad=True) for name, value in current.items()}
        eps = [torch.tensor(layer_noise(SEED, stream, step)) for stream in range(len(LAYERS))]
        images, labels, gap = draw_batch(rng, p, eps)
        logits = forward(p, to_float(images), eps, [])
        nll = F.cross_entropy(logits, torch.tensor(labels.astype(np.int64)))
        divergence = kl(p)
        loss = nll + BETA / DATA_SIZE * divergence
        loss.backward()
        gradients = {name: value.grad.numpy().astype(np.float32) for name, value in p.items()}
        steps.append(
            {
                "images": images,
                "labels": labels,
                "gap": gap,
                "logits": logits.detach().numpy().astype(np.float32),
                "scalars": {"loss": loss.item(), "nll": nll.item(), "kl": divergence.item()},
                "gradients": gradients,
            }
        )
        # The rounded gradient moves the rounded parameter, so the file determines the trajectory bit for bit.
        for name, gradient in gradients.items():
            update = current[name].astype(np.float64) - LEARNING_RATE * gradient.astype(np.float64)
            current[name] = update.astype(np.float32)
    return steps


# --- the files --------------------------------------------------------------------------------------------------------


def safetensors(tensors, metadata):
    """The safetensors format by hand: u64 header length, JSON header padded to 8 bytes, little-endian data."""
    codes = {"float64": "F64", "float32": "F32", "int32": "I32", "uint8": "U8"}
    order = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)  # stable; keeps every tensor aligned
    header, offset = {"__metadata__": metadata}, 0
    for name in order:
        value = tensors[name]
        header[name] = {
            "dtype": codes[value.dtype.name],
            "shape": list(value.shape),
            "data_offsets": [offset, offset + value.nbytes],
        }
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(tensors[n]).tobytes() for n in order)


def main():
    check_philox()
    parameters = make_parameters()
    steps = train(parameters)
    cases = [{"step": 0, "row": 0}, {"step": 9, "row": 63}]

    tensors = {name: np.concatenate([step[name] for step in steps]) for name in ("images", "labels", "logits")}
    for name, value in parameters.items():
        tensors[f"parameter.{name}"] = value
    for i, step in enumerate(steps):
        for name, value in step["gradients"].items():
            tensors[f"gradient.{i}.{name}"] = value
    for stream, (name, _) in enumerate(LAYERS):
        tensors[f"noise.{name}"] = np.stack([layer_noise(SEED, stream, case["step"])[case["row"]] for case in cases])

    index = {
        "model": "lenet5",
        "steps": STEPS,
        "batch": BATCH,
        "dataSize": DATA_SIZE,
        "learningRate": LEARNING_RATE,
        "priorSigma": PRIOR_SIGMA,
        "beta": BETA,
        "seed": SEED,
        "noiseCases": cases,
        "layers": [{"name": name, "stream": i, "weight": list(shape)} for i, (name, shape) in enumerate(LAYERS)],
        "scalars": [step["scalars"] for step in steps],
        "narrowestPoolingGap": min(step["gap"] for step in steps),
        "madeWith": {"torch": torch.__version__, "numpy": np.__version__},
    }
    folder = pathlib.Path(__file__).resolve().parent
    packed = gzip.compress(safetensors(tensors, {"format": "bayescnn golden 1"}), compresslevel=9, mtime=0)
    (folder / "lenet5.safetensors.gz").write_bytes(packed)
    (folder / "lenet5.json").write_text(json.dumps(index, indent=1) + "\n")
    print(f"{len(packed)} bytes; narrowest pooling gap {index['narrowestPoolingGap']:.2e}")
    for i, step in enumerate(steps):
        accuracy = np.mean(step["logits"].argmax(1) == step["labels"])
        print(i, step["scalars"], f"accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
