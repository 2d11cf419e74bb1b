"""PyTorch on the same card: training steps and single layers of bench/peers/pytorch.py at a batch of 256, channels last.

    python3 cuda/check/peer.py ROWS.jsonl [--quick]

Deterministic twins and Bayesian layers the way PyTorch users write them, in float32, TF32 and bf16 (autocast), eager and
as a CUDA graph. A row is written when it is done, and those that are there are left out. --quick: a batch of 2, once,
on the CPU where there is no GPU, to see that it runs.
"""

import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench/peers"))

try:
    import torch
except ImportError as error:
    print(f"left out: {error}")
    sys.exit(0)
from torch.nn import functional as F

import pytorch as models

LAYERS = {  # as in bench/layers.mjs: size, channels, filters, kernel, stride, padding, first
    "g1": (32, 64, 64, 3, 1, 1, False),
    "g2": (16, 128, 128, 3, 1, 1, False),
    "g3": (8, 256, 256, 3, 1, 1, False),
    "g4": (28, 1, 6, 5, 1, 0, True),
    "g5": (32, 3, 32, 5, 1, 2, True),
    "g6": (224, 3, 64, 7, 2, 3, True),
}


def arithmetic(name):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"


def autocast(precision, run):
    def inside():
        with torch.autocast("cuda" if torch.cuda.is_available() else "cpu", dtype=torch.bfloat16):
            return run()

    return inside if precision == "bf16" else run


def step(name, bayesian, precision, batch):
    net = models.network(name, bayesian).to(memory_format=torch.channels_last).train()
    x = torch.rand(batch, 1 if name == "lenet5" else 3, 32, 32).to(memory_format=torch.channels_last) - 0.5
    labels = torch.arange(batch) % 10
    # on a GPU: its counter of steps may lie there, so that a graph can hold the update
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, foreach=True, capturable=torch.cuda.is_available())
    weighted = [m for m in net.modules() if isinstance(m, models.Bayesian)]
    forward = autocast(precision, lambda: net(x))

    def once():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward().float(), labels)
        if bayesian:
            loss = loss + sum(m.kl() for m in weighted) / 60_000
        loss.backward()
        optimizer.step()

    return once


def layer(name, bayesian, backward, precision, batch):
    size, channels, filters, kernel, stride, padding, first = LAYERS[name]
    conv = models.BayesianConv2d if bayesian else torch.nn.Conv2d
    net = conv(channels, filters, kernel, stride=stride, padding=padding).to(memory_format=torch.channels_last)
    batch = min(batch, 32) if name == "g6" else batch
    x = (torch.rand(batch, channels, size, size) - 0.5).to(memory_format=torch.channels_last)
    forward = autocast(precision, lambda: net(x))
    if not backward:
        return models.no_grad(forward)
    x.requires_grad_(not first)
    dy = torch.randn_like(forward().detach())

    def once():
        x.grad = None
        net.zero_grad(set_to_none=True)
        forward().backward(dy)

    return once


def synchronize():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def graphed(once):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            once()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        once()
    return graph.replay


def measured(once, times):
    for _ in range(3):
        once()
    synchronize()
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        for _ in range(10):
            once()
        synchronize()
        took.append((time.perf_counter() - begin) / 10)
    return {"runs": times, "seconds": statistics.median(took), "least": min(took)}


def rows(batch):
    for precision in ("tf32", "bf16", "fp32"):
        for name in ("3conv3fc", "alexnet", "lenet5"):
            for bayesian in (False, True):
                title = f"step {name}, {'Bayesian' if bayesian else 'frequentist'}, {precision}"
                yield title, precision, lambda n=name, b=bayesian, p=precision: step(n, b, p, batch)
        for name in LAYERS:
            for backward in (False, True):
                for bayesian in (False, True):
                    what = "forward+backward" if backward else "forward"
                    title = f"layer {name} {what}, {'Bayesian' if bayesian else 'frequentist'}, {precision}"
                    yield title, precision, lambda n=name, b=bayesian, w=backward, p=precision: layer(n, b, w, p, batch)


def main():
    path, quick = sys.argv[1], "--quick" in sys.argv
    on_gpu = torch.cuda.is_available()
    if not on_gpu and not quick:
        print("left out: PyTorch sees no GPU")
        return
    if on_gpu:
        torch.set_default_device("cuda")
    there = set()
    if os.path.exists(path):
        with open(path) as file:
            there = {json.loads(line)["row"] for line in file}
    with open(path, "a") as out:
        for title, precision, build in rows(2 if quick else 256):
            for how in ("eager", "graph") if on_gpu else ("eager",):
                row = {"row": f"{title}, {how}", "peer": f"PyTorch {torch.__version__}"}
                if row["row"] in there:
                    continue
                arithmetic(precision)
                try:
                    once = build()
                    row |= measured(graphed(once) if how == "graph" else once, 1 if quick else 10)
                except Exception as error:  # one row that PyTorch refuses is not the others' end
                    row["why"] = str(error).split("\n")[0]
                out.write(json.dumps(row) + "\n")
                out.flush()


main()
