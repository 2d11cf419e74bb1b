"""
What PyTorch itself writes and computes, for the tests of importWeights (test/cpu/import*.test.ts):

    /usr/bin/python3 test/golden/pytorch.py        (Debian's python3-torch 1.13; nothing else)

torch-residual.*.safetensors.gz   a small net with norms, blocks, a transposed and a grouped convolution, in three dtypes
torch-lenet5.onnx.gz              LeNet-5 as torch.onnx.export writes it
torch-zip.pt, torch-legacy.pt     what torch.save writes, to be refused
torch.json                        logits of all of them, and of the published architectures with weights by a formula

Weights by a formula (`made` here and in the test) need no file: both sides compute the same float32 numbers.
"""
import gzip, io, json, os, struct, zlib
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

here = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)


def noise(name, count):
    """Numbers in [-0.5, 0.5), a function of the name and the index."""
    h = np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(zlib.crc32(name.encode()))
    h &= np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(13)
    return h.astype(np.float64) / 2**32 - 0.5


def made(name, shape):
    u = noise(name, int(np.prod(shape)))
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        u = 1 + 0.5 * u
    elif len(shape) > 1:
        u = u * np.sqrt(24 / np.prod(shape[1:]))  # variance 2 / fan-in
    else:
        u = 0.2 * u
    return torch.tensor(u.astype(np.float32)).reshape(shape)


def fill(net):
    state = net.state_dict()
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(made(name, tuple(tensor.shape)))
    return net.eval()


def images(count, channels, size):
    return torch.tensor(noise("images", count * channels * size * size).astype(np.float32)).reshape(count, channels, size, size)


def logits(net, x):
    with torch.no_grad():
        return [[float(v) for v in row] for row in net(x).numpy()]


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(x)), 2), 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


def alexnet():  # as a Sequential: its names are numbers
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )


class Conv3Fc3(nn.Module):  # two Sequentials, "classifier" before "features" in the alphabet
    def __init__(self):
        super().__init__()
        pool = lambda: nn.MaxPool2d(3, 2)
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), pool(), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), pool(),
            nn.Conv2d(64, 128, 5, padding=1), nn.ReLU(), pool(), nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Linear(512, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


class Basic(nn.Module):
    def __init__(self, before, width, stride, option):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.option, self.stride, self.extra = option, stride, width - before
        if option == "B" and (stride > 1 or self.extra):
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        elif self.extra:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return F.relu(h + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        before = 16
        for stage, width in enumerate((16, 32, 64), 1):
            blocks = []
            for block in range(3):
                blocks.append(Basic(before, width, 2 if stage > 1 and block == 0 else 1, "A"))
                before = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class ResNet18(nn.Module):  # torchvision's names, with the stem for 32x32
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        before = 64
        for stage, width in enumerate((64, 128, 256, 512), 1):
            blocks = []
            for block in range(2):
                blocks.append(Basic(before, width, 2 if stage > 1 and block == 0 else 1, "B"))
                before = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class LeNet5Caffe(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(x)), 2), 1)
        return self.fc2(F.relu(self.fc1(x)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Basic(8, 8, 1, "B"))
        self.layer2 = nn.Sequential(Basic(8, 12, 2, "B"))
        self.up = nn.ConvTranspose2d(12, 6, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.depthwise = nn.Conv2d(6, 6, (3, 1), padding=(1, 0), groups=6)
        self.flat_bn = nn.BatchNorm1d(96)
        self.hidden, self.head = nn.Linear(96, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.stem_bn(self.stem(x)))
        x = F.max_pool2d(F.relu(self.depthwise(F.relu(self.up(self.layer2(self.layer1(x)))))), 2)
        x = self.flat_bn(torch.flatten(x, 1))
        return self.head(F.relu(self.hidden(x)))


def pack(path, data):
    """Reproducible gzip."""
    with open(os.path.join(here, path), "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(data)


DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def safetensors(state):
    """The format in a few lines: Debian has no package of it."""
    header, pieces, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in state.items():
        raw = tensor.contiguous()
        raw = (raw.view(torch.int16) if raw.dtype in (torch.float16, torch.bfloat16) else raw).numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        pieces.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(pieces)


golden = {"torch": torch.__version__, "formula": {}, "residual": {}}
nets = {
    "lenet5": (LeNet5(), 1, 28), "lenet5-caffe": (LeNet5Caffe(), 1, 28), "alexnet": (alexnet(), 3, 32),
    "3conv3fc": (Conv3Fc3(), 3, 32), "resnet20": (ResNet20(), 3, 32), "resnet18": (ResNet18(), 3, 32),
}
for name, (net, channels, size) in nets.items():
    fill(net)
    golden["formula"][name] = {
        "tensors": {k: list(v.shape) for k, v in net.state_dict().items()},
        "logits": logits(net, images(2, channels, size)),
    }

torch.manual_seed(1)
net = Residual()
for _ in range(20):  # norms with statistics of their own
    net(torch.randn(16, 3, 8, 8) * 2 + 1)
with torch.no_grad():
    for name, parameter in net.named_parameters():
        if parameter.dim() == 1:
            parameter.add_(0.3 * torch.randn_like(parameter))
net.eval()
state = {k: v.clone() for k, v in net.state_dict().items()}
for dtype, name in ((torch.float32, "f32"), (torch.float16, "f16"), (torch.bfloat16, "bf16")):
    cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    pack(f"torch-residual.{name}.safetensors.gz", safetensors(cast))
    net.load_state_dict(cast)  # float32 again, of the rounded values
    golden["residual"][name] = logits(net, images(3, 3, 8))

lenet = LeNet5()
with torch.no_grad():
    for parameter in lenet.parameters():
        parameter.copy_(torch.round(parameter * 256) / 256)  # packs well
lenet.eval()
file = io.BytesIO()
torch.onnx.export(lenet, images(1, 1, 28), file, opset_version=13, input_names=["image"], output_names=["logits"])
pack("torch-lenet5.onnx.gz", file.getvalue())
golden["onnx"] = logits(lenet, images(3, 1, 28))

small = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.zeros(2)}
torch.save(small, os.path.join(here, "torch-zip.pt"))
torch.save(small, os.path.join(here, "torch-legacy.pt"), _use_new_zipfile_serialization=False)
with open(os.path.join(here, "torch.json"), "w") as out:
    json.dump(golden, out)
    out.write("\n")
