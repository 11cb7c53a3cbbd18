"""The bench's workloads in PyTorch eager mode on the CPU, for comparison only: the product never needs Python.

python3 pytorch.py WORKLOAD SECONDS THREADS prints one JSON line: the milliseconds of every training step.
"""

import json
import math
import re
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    print(json.dumps({"missing": str(error)}))
    sys.exit(0)

workload, seconds, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)


def attend(q, k, v, causal):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    if causal:
        time_steps = scores.size(-1)
        keep = torch.ones(time_steps, time_steps, dtype=torch.bool).tril()
        scores = scores.masked_fill(~keep, -1e9)
    return scores.softmax(-1) @ v


class Attention(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, steps, width = x.shape
        q, k, v = self.qkv(x).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v, self.causal)
        return self.proj(mixed.transpose(1, 2).reshape(batch, steps, width))


def mlp(width):
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(2048, 384)
        self.positions = nn.Parameter(0.02 * torch.randn(256, 384))
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.LayerNorm(384), Attention(384, 6, True), nn.LayerNorm(384), mlp(384)]) for _ in range(6)
        )
        self.norm, self.head = nn.LayerNorm(384), nn.Linear(384, 2048, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions
        for norm1, attention, norm2, feed in self.blocks:
            x = x + attention(norm1(x))
            x = x + feed(norm2(x))
        return self.head(self.norm(x))


class DiT(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(12, 256)
        self.positions = nn.Parameter(0.02 * torch.randn(64, 256))
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.Linear(256, 6 * 256), Attention(256, 4, False), mlp(256)]) for _ in range(8)
        )
        self.last, self.out = nn.Linear(256, 2 * 256), nn.Linear(256, 12)

    def forward(self, patches, condition):
        def modulate(x, shift, scale):
            return F.layer_norm(x, (256,)) * (1 + scale) + shift

        gate = F.silu(condition)
        x = self.embed(patches) + self.positions
        for adapt, attention, feed in self.blocks:
            shift1, scale1, gate1, shift2, scale2, gate2 = adapt(gate).unsqueeze(1).chunk(6, 2)
            x = x + gate1 * attention(modulate(x, shift1, scale1))
            x = x + gate2 * feed(modulate(x, shift2, scale2))
        shift, scale = self.last(gate).unsqueeze(1).chunk(2, 2)
        return self.out(modulate(x, shift, scale))


class Block(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.stride, self.extra = stride, (width - channels) // 2
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x):
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(inner + x)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        blocks, channels = [], 16
        for stage, width in enumerate([16, 32, 64]):
            for i in range(3):
                blocks.append(Block(channels, width, 2 if stage and i == 0 else 1))
                channels = width
        self.blocks, self.linear = nn.Sequential(*blocks), nn.Linear(64, 10)

    def forward(self, x):
        return self.linear(self.blocks(F.relu(self.bn(self.conv(x)))).mean((2, 3)))


if workload == "gpt":
    model = GPT()
    tokens, targets = torch.randint(2048, (8, 256)), torch.randint(2048, (2048,))
    loss = lambda: F.cross_entropy(model(tokens).view(2048, 2048), targets)
elif workload == "dit":
    model = DiT()
    patches, condition, target = torch.randn(64, 64, 12), torch.randn(64, 256), torch.randn(64, 64, 12)
    loss = lambda: F.mse_loss(model(patches, condition), target)
elif workload == "resnet":
    model = ResNet()
    pictures, labels = torch.randn(128, 3, 32, 32), torch.randint(10, (128,))
    loss = lambda: F.cross_entropy(model(pictures), labels)
elif workload == "mlp":
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    rows, labels = torch.randn(256, 784), torch.randint(10, (256,))
    loss = lambda: F.cross_entropy(model(rows), labels)
else:
    sys.exit(f"unknown workload {workload}")

if workload in ("gpt", "dit"):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
else:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)


def step():
    optimizer.zero_grad(set_to_none=True)
    loss().backward()
    optimizer.step()


for _ in range(3):
    step()
times, end = [], time.perf_counter() + seconds
while time.perf_counter() < end or len(times) < 5:
    start = time.perf_counter()
    step()
    times.append(1000 * (time.perf_counter() - start))
# Builds differ more than versions: a generic BLAS or no AVX-512 is no fair peer, so the figures say which it was.
built = torch.__config__.show()
facts = [found.group(1) for found in (re.search(r"BLAS_INFO=(\w+)", built), re.search(r"usage: ([\w-]+)", built)) if found]
print(json.dumps({"times": times, "version": f"{torch.__version__} ({', '.join(facts)})"}))
