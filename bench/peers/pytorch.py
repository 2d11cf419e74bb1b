"""One workload in PyTorch as a process: /usr/bin/python3 bench/peers/pytorch.py '{"workload": ..., "variant": ...}'

Says what it is when it is ready, then answers each line on stdin with the times of one turn (see bench/serve.mjs).
The Bayesian layers do local reparameterization the way PyTorch users write it: a convolution with the means, one of
x**2 with the variances, sqrt, normal noise; rho starts at -5, softplus between the layers, closed-form KL to N(0, 0.1^2).
"""

import json
import math
import sys
import time

NOT_INSTALLED = 77  # as in bench/serve.mjs
SLOW_MS = 1000

try:
    import torch
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(NOT_INSTALLED)
from torch import nn
from torch.nn import functional as F

PRIOR_SIGMA = 0.1


class Bayesian(nn.Module):
    """What convolution and linear layer share: mean and rho of weights and biases, and how the output is drawn."""

    def __init__(self, shape, filters, bias=True):
        super().__init__()
        self.mu = nn.Parameter(torch.randn(shape) * math.sqrt(2 / math.prod(shape[1:])))
        self.rho = nn.Parameter(torch.randn(shape) * 0.1 - 5)
        self.bias_mu = nn.Parameter(torch.zeros(filters)) if bias else None
        self.bias_rho = nn.Parameter(torch.randn(filters) * 0.1 - 5) if bias else None

    def forward(self, x):
        self.sigma = torch.log1p(torch.exp(self.rho))
        bias_variance = None
        if self.bias_rho is not None:
            self.bias_sigma = torch.log1p(torch.exp(self.bias_rho))
            bias_variance = self.bias_sigma**2
        mean = self.apply_to(x, self.mu, self.bias_mu)
        variance = 1e-16 + self.apply_to(x**2, self.sigma**2, bias_variance)
        std = torch.sqrt(variance)
        noise = torch.empty(mean.size()).normal_(0, 1)
        return mean + std * noise

    def kl(self):
        def term(mu, sigma):
            ratio = sigma / PRIOR_SIGMA
            return 0.5 * (2 * torch.log(PRIOR_SIGMA / sigma) - 1 + ratio.pow(2) + (mu / PRIOR_SIGMA).pow(2)).sum()

        weights = term(self.mu, self.sigma)
        return weights if self.bias_mu is None else weights + term(self.bias_mu, self.bias_sigma)


class BayesianConv2d(Bayesian):
    def __init__(self, channels, filters, kernel, stride=1, padding=0, groups=1, bias=True):
        super().__init__((filters, channels // groups, kernel, kernel), filters, bias)
        self.stride, self.padding, self.groups = stride, padding, groups

    def apply_to(self, x, weight, bias):
        return F.conv2d(x, weight, bias, self.stride, self.padding, groups=self.groups)


class BayesianLinear(Bayesian):
    def __init__(self, inputs, outputs):
        super().__init__((outputs, inputs), outputs)

    def apply_to(self, x, weight, bias):
        return F.linear(x, weight, bias)


class Block(nn.Module):
    """Two convolutions around a shortcut without parameters: every second pixel, and zeros in the new channels."""

    def __init__(self, conv, channels, filters):
        super().__init__()
        self.stride, self.extra = 1 if channels == filters else 2, filters - channels
        self.body = nn.Sequential(
            conv(channels, filters, 3, stride=self.stride, padding=1, bias=False), nn.BatchNorm2d(filters),
            nn.Softplus(),
            conv(filters, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters),
        )  # fmt: skip

    def forward(self, x):
        shortcut = x
        if self.extra:
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return F.softplus(self.body(x) + shortcut)


def resnet20(conv, linear):
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [Block(conv, channels, filters) for channels, filters in zip(widths, widths[1:])]
    return nn.Sequential(
        conv(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.Softplus(),
        *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(64, 10),
    )  # fmt: skip


def normed(conv, channels, filters, kernel, stride=1, groups=1):
    """A convolution with a norm, which makes its bias useless."""
    layer = conv(channels, filters, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(filters))


class BasicBlock(nn.Module):
    """ResNet-18's: where it changes the shape, a 1x1 convolution stands in the shortcut."""

    def __init__(self, conv, channels, filters):
        super().__init__()
        stride = 1 if channels == filters else 2
        self.body = nn.Sequential(normed(conv, channels, filters, 3, stride), nn.ReLU(), normed(conv, filters, filters, 3))
        self.shortcut = nn.Identity() if stride == 1 else normed(conv, channels, filters, 1, stride)

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


def resnet18(conv, linear):
    widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
    return nn.Sequential(
        normed(conv, 3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        *[BasicBlock(conv, channels, filters) for channels, filters in zip(widths, widths[1:])],
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(512, 1000),
    )  # fmt: skip


def mobilenet(conv, linear):
    widths = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    layers = [normed(conv, 3, 32, 3, 2), nn.ReLU()]
    for channels, filters in zip(widths, widths[1:]):
        stride = 2 if filters > channels > 32 else 1
        layers += [normed(conv, channels, channels, 3, stride, channels), nn.ReLU()]
        layers += [normed(conv, channels, filters, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(1024, 1000))


def network(name, bayesian):
    conv, linear = (BayesianConv2d, BayesianLinear) if bayesian else (nn.Conv2d, nn.Linear)
    act, pool = nn.Softplus, nn.MaxPool2d
    if name == "lenet5":
        return nn.Sequential(
            conv(1, 6, 5), act(), pool(2, 2),
            conv(6, 16, 5), act(), pool(2, 2),
            nn.Flatten(), linear(400, 120), act(), linear(120, 84), act(), linear(84, 10),
        )  # fmt: skip
    if name == "alexnet":
        return nn.Sequential(
            conv(3, 64, 11, stride=4, padding=5), act(), pool(2, 2),
            conv(64, 192, 5, padding=2), act(), pool(2, 2),
            conv(192, 384, 3, padding=1), act(), conv(384, 256, 3, padding=1), act(),
            conv(256, 128, 3, padding=1), act(), pool(2, 2),
            nn.Flatten(), linear(128, 10),
        )  # fmt: skip
    if name == "3conv3fc":
        return nn.Sequential(
            conv(3, 32, 5, padding=2), act(), pool(3, 2),
            conv(32, 64, 5, padding=2), act(), pool(3, 2),
            conv(64, 128, 5, padding=1), act(), pool(3, 2),
            nn.Flatten(), linear(512, 1000), act(), linear(1000, 1000), act(), linear(1000, 10),
        )  # fmt: skip
    if name == "resnet20":
        return resnet20(conv, linear)
    if name == "resnet18":
        return resnet18(conv, linear)
    if name == "mobilenet":
        return mobilenet(conv, linear)
    raise SystemExit(f"no PyTorch version of {name}")


class Function(nn.Module):
    """A layer without parameters."""

    def __init__(self, forward):
        super().__init__()
        self.forward = forward


def single_layer(g, bayesian):
    if g["op"] == "conv":
        conv = BayesianConv2d if bayesian else nn.Conv2d
        options = {key: g[key] for key in ("stride", "padding", "groups")}
        return conv(g["channels"], g["filters"], g["kernel"], **options)
    if g["op"] == "linear":
        return (BayesianLinear if bayesian else nn.Linear)(g["inputs"], g["outputs"])
    if g["op"] == "batch norm":
        return nn.BatchNorm2d(g["channels"]).train(g["training"])
    if g["op"] == "global average pool":
        return nn.AdaptiveAvgPool2d(1)
    return Function({"relu": torch.relu, "exp": torch.exp, "row sum": lambda x: x.sum(1)}[g["op"]])


def layer_input(g):
    if "size" in g:
        return torch.rand(g["batch"], g["channels"], g["size"], g["size"]) - 0.5
    return torch.rand(g["batch"], g["inputs" if g["op"] == "linear" else "columns"]) - 0.5


def train_step(net, x, bayesian, foreach):
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, foreach=foreach)
    labels = torch.arange(len(x)) % 10
    weighted = [m for m in net.modules() if isinstance(m, Bayesian)]

    def once():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), labels)
        if bayesian:
            loss = loss + sum(m.kl() for m in weighted) / 60_000
        loss.backward()
        optimizer.step()

    return once


def prediction(net, x, samples):
    net.eval()
    return no_grad(lambda: torch.stack([net(x) for _ in range(samples)]))


def layer_pass(layer, x, backward, needs_dx):
    if not backward:
        return no_grad(lambda: layer(x))
    x.requires_grad_(needs_dx)
    dy = torch.randn_like(layer(x).detach())

    def once():
        x.grad = None
        layer.zero_grad(set_to_none=True)
        layer(x).backward(dy)

    return once


def no_grad(run):
    def once():
        with torch.no_grad():
            return run()

    return once


def build(workload, variant, geometry, config):
    bayesian, channels_last = variant == "Bayesian", "channels_last" in variant
    if workload["kind"] == "create":
        return lambda: single_layer(geometry, bayesian)
    if workload["kind"] == "layer":
        net, x = single_layer(geometry, bayesian), layer_input(geometry)
    else:
        net = network(workload["name"], bayesian)
        height, width, channels = config["input"]
        x = torch.rand(workload["batch"], channels, height, width) - 0.5
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if "bf16" in variant:
        net = Autocast(net)
    if workload["kind"] == "layer":
        return layer_pass(net, x, workload["backward"], not geometry.get("first"))
    if workload["kind"] == "step":
        return train_step(net, x, bayesian, foreach=channels_last)
    return prediction(net, x, workload["samples"])


class Autocast(nn.Module):
    """A network in mixed precision, as PyTorch has it: float32 weights, bf16 convolutions and products."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.net(x)
        return y.float()


def blas():
    """The BLAS that is really loaded: Debian's default is the slow reference one."""
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split()[-1] for line in maps if "blas" in line.rsplit("/", 1)[-1]}
        return next((p.split("/")[-2] for p in sorted(paths) if "libblas" in p or "openblas" in p), "unknown BLAS")
    except OSError:
        return "unknown BLAS"


def timed(once):
    start = time.perf_counter()
    once()
    return 1000 * (time.perf_counter() - start)


def main():
    request = json.loads(sys.argv[1])
    torch.manual_seed(1)
    torch.set_num_threads(request["workload"]["threads"])
    once = build(request["workload"], request["variant"], request.get("geometry"), request["config"])
    warm = []
    while len(warm) < 3 and sum(warm) < 2 * SLOW_MS:
        warm.append(timed(once))
    print(json.dumps({"version": f"PyTorch {torch.__version__}", "blas": blas(), "once": warm[-1]}), flush=True)
    for line in sys.stdin:
        ms = json.loads(line)["ms"]
        if warm[-1] < SLOW_MS:
            once()  # the turn before was somebody else's: get the caches back
        times = []
        while sum(times) < ms:
            times.append(timed(once))
        print(json.dumps({"times": times}), flush=True)


if __name__ == "__main__":
    main()
