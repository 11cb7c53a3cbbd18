"""The CIFAR-10 teacher in PyTorch eager mode on the CPU, for comparison only: the product never needs Python.

python3 pytorch.py WORKLOAD SECONDS THREADS prints one JSON line: the milliseconds of every call.
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
WIDTH, DEPTH, HEADS = 160, 8, 5


def attend(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return (q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))).softmax(-1) @ v


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.adapt = nn.Linear(WIDTH, 6 * WIDTH)

    def forward(self, x, c):
        n, tokens, _ = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adapt(c).unsqueeze(1).chunk(6, 2)
        h = F.layer_norm(x, (WIDTH,), eps=1e-6) * (1 + scale1) + shift1
        q, k, v = self.qkv(h).view(n, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        x = x + gate1 * self.proj(attend(q, k, v).transpose(1, 2).reshape(n, tokens, WIDTH))
        h = F.layer_norm(x, (WIDTH,), eps=1e-6) * (1 + scale2) + shift2
        return x + gate2 * self.fc2(F.gelu(self.fc1(h), approximate="tanh"))


class Teacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, WIDTH, 4, 4)
        self.positions = nn.Parameter(torch.randn(64, WIDTH), requires_grad=False)
        self.time = nn.Sequential(nn.Linear(256, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.labels = nn.Embedding(11, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.adapt, self.out = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, 48)
        self.register_buffer("frequencies", torch.exp(-math.log(10000) * torch.arange(128) / 128))

    def forward(self, x, sigma, labels):
        total = sigma**2 + 0.25
        h = self.embed(x * total.rsqrt().view(-1, 1, 1, 1)).flatten(2).transpose(1, 2) + self.positions
        angles = (250 * sigma.log()).unsqueeze(1) * self.frequencies
        c = F.silu(self.time(torch.cat([angles.cos(), angles.sin()], 1)) + self.labels(labels))
        for block in self.blocks:
            h = block(h, c)
        shift, scale = self.adapt(c).unsqueeze(1).chunk(2, 2)
        patches = self.out(F.layer_norm(h, (WIDTH,), eps=1e-6) * (1 + scale) + shift)
        return patches.view(-1, 8, 8, 4, 4, 3).permute(0, 5, 1, 3, 2, 4).reshape(-1, 3, 32, 32)

    def denoise(self, x, sigma, labels):
        total = (sigma**2 + 0.25).view(-1, 1, 1, 1)
        out = sigma.view(-1, 1, 1, 1) * 0.5 * total.rsqrt()
        return 0.25 / total * x + out * self(x, sigma, labels)


model = Teacher()
if workload == "training":
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0)
    pictures, labels = torch.randn(128, 3, 32, 32), torch.zeros(128, dtype=torch.long)

    def call():
        sigma = torch.exp(1.2 * torch.randn(128) - 1.2)
        noise = torch.randn_like(pictures)
        scale = (2 * (sigma**2 + 0.25).rsqrt()).view(-1, 1, 1, 1)
        wide = sigma.view(-1, 1, 1, 1)
        target = (pictures * wide - 0.25 * noise) * scale
        optimizer.zero_grad(set_to_none=True)
        F.mse_loss(model(pictures + wide * noise, sigma, labels), target).backward()
        optimizer.step()

elif workload == "forward":
    pictures, labels, sigma = torch.randn(64, 3, 32, 32), torch.arange(64) % 10, torch.ones(64)

    @torch.no_grad()
    def call():
        model.denoise(pictures, sigma, labels)

elif workload == "sampling":
    steps, count, scale = 8, 16, 3.0
    levels = [(80 ** (1 / 7) + i / (steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(steps)] + [0.0]
    labels = torch.cat([torch.arange(count) % 10, torch.full((count,), 10)])

    @torch.no_grad()
    def call():
        x = levels[0] * torch.randn(count, 3, 32, 32)
        for now, then in zip(levels, levels[1:]):
            both = model.denoise(torch.cat([x, x]), torch.full((2 * count,), now), labels)
            guided = both[count:] + scale * (both[:count] - both[count:])
            x = x + (then - now) * (x - guided) / now

else:
    sys.exit(f"unknown workload {workload}")

for _ in range(2):
    call()
times, end = [], time.perf_counter() + seconds
while time.perf_counter() < end or len(times) < 3:
    start = time.perf_counter()
    call()
    times.append(1000 * (time.perf_counter() - start))
# Builds differ more than versions: a generic BLAS or no AVX-512 is no fair peer, so the figures say which it was.
built = torch.__config__.show()
facts = [found.group(1) for found in (re.search(r"BLAS_INFO=(\w+)", built), re.search(r"usage: ([\w-]+)", built)) if found]
print(json.dumps({"times": times, "version": f"{torch.__version__} ({', '.join(facts)})"}))
