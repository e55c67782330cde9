"""The PyTorch peer of features.ts: the features of a ViT-S/16 at 224 pixels on random images, as one JSON document.

Run it with as many threads as the other one, for example
    env OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 python3 test/benchmarks/torch_features.py --threads 2
"""

import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

IMAGE_SIZE, PATCH_SIZE, WIDTH, DEPTH, HEADS = 224, 16, 384, 12, 6
LAYERS = 4  # features of the last four blocks
WARM_UP = 2


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        images, tokens, _ = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(images, tokens, 3, HEADS, WIDTH // HEADS)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)  # each [B, h, N, d]
        weights = (queries @ keys.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).softmax(-1)
        mixed = (weights @ values).transpose(1, 2).reshape(images, tokens, WIDTH)
        x = x + self.proj(mixed)
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


class Encoder(nn.Module):
    """Average-pooled features of the last blocks, [B, 3, S, S] -> [B, 4 D]."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, WIDTH, PATCH_SIZE, stride=PATCH_SIZE)
        self.positions = nn.Parameter(torch.randn(1, (IMAGE_SIZE // PATCH_SIZE) ** 2, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, images):
        x = self.embed(images).flatten(2).transpose(1, 2) + self.positions
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index >= DEPTH - LAYERS:
                features.append(self.norm(x).mean(1))
        return torch.cat(features, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--batches", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    encoder = Encoder().eval()
    images = torch.randn(asked.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)
    seconds = []
    with torch.no_grad():
        for batch in range(asked.batches + WARM_UP):
            if batch == WARM_UP:
                cpu_start = time.process_time()
            started = time.perf_counter()
            encoder(images)
            seconds.append(time.perf_counter() - started)
    cpu = time.process_time() - cpu_start
    timed = seconds[WARM_UP:]
    result = {
        "engine": "torch",
        "version": torch.__version__,
        "threads": asked.threads,
        "arch": "ViT-S/16",
        "imageSize": IMAGE_SIZE,
        "batchSize": asked.batch_size,
        "imagesPerSecond": round(asked.batch_size / statistics.median(timed), 2),
        "fastestImagesPerSecond": round(asked.batch_size / min(timed), 2),
        "cpuSecondsPerImage": round(cpu / (asked.batch_size * len(timed)), 4),
        "firstBatchSeconds": round(seconds[0], 2),
        "peakMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
