"""The training step of I-JEPA in PyTorch, timed: what `ijepa bench --peer` holds its own step against.

    python3 torch_step.py '{"imageSize": 96, "patchSize": 8, "batchSize": 32,
      "encoder": {"dim": 192, "depth": 12, "heads": 3, "mlpRatio": 4},
      "predictor": {"dim": 96, "depth": 4, "heads": 3, "mlpRatio": 4},
      "masks": {"context": [1, 60], "target": [4, 25]},
      "threads": 2, "steps": 7, "precision": "float32", "compile": false}'

prints one JSON document. It does what method.ts does, as PyTorch does it fastest: target encoder on all patches, context encoder on
some, predictor, smooth L1 on layer-normed targets, gradients, fused AdamW, moving average. Needs PyTorch 2.4 or newer, on Linux or
macOS; `compile` needs a C++ compiler as well.

Letters: B images, N patches of an image, K and J patches of a context and of a target block, T target blocks, D width, h heads.
"""

import copy
import json
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

WARM_UP = 2  # steps before the clock is started
EMA_DECAY = 0.996


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), [B, N, D] -> [B, N, D]."""

    def __init__(self, dim, heads, mlpRatio, **_):
        super().__init__()
        hidden = int(dim * mlpRatio)
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        images, tokens, dim = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(images, tokens, 3, self.heads, dim // self.heads)
        mixed = functional.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))  # [B, h, N, D / h]
        x = x + self.proj(mixed.transpose(1, 2).reshape(images, tokens, dim))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


def blocks_of(size):
    return nn.ModuleList(Block(**size) for _ in range(size["depth"]))


def keep_tokens(x, patches):
    """Some patches of each image, [B, N, D] and [B, K] -> [B, K, D]."""
    return torch.gather(x, 1, patches.unsqueeze(-1).expand(-1, -1, x.size(-1)))


class Encoder(nn.Module):
    """Representations of patches, [B, 3, S, S] -> [B, N, D], or of those that are kept, [B, K, D]."""

    def __init__(self, size, imageSize, patchSize):
        super().__init__()
        dim = size["dim"]
        self.embed = nn.Conv2d(3, dim, patchSize, stride=patchSize)
        self.register_buffer("positions", torch.randn(1, (imageSize // patchSize) ** 2, dim))
        self.blocks = blocks_of(size)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def tokens(self, images):
        return self.embed(images).flatten(2).transpose(1, 2) + self.positions

    def forward(self, images, kept=None):
        x = self.tokens(images)
        x = x if kept is None else keep_tokens(x, kept)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Predictor(nn.Module):
    """What stands in the target blocks, from the patches of the context, [B, K, D] -> [T B, J, D]."""

    def __init__(self, size, outputs, patches):
        super().__init__()
        dim = size["dim"]
        self.embed = nn.Linear(outputs, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.register_buffer("positions", torch.randn(1, patches, dim))
        self.blocks = blocks_of(size)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.proj = nn.Linear(dim, outputs)

    def forward(self, context, kept, targets):
        images, visible, _ = context.shape
        positions = self.positions.expand(images, -1, -1)
        context = self.embed(context) + keep_tokens(positions, kept)
        queries = [self.mask_token + keep_tokens(positions, target) for target in targets]
        x = torch.cat([torch.cat([context, query], 1) for query in queries], 0)  # [T B, K + J, E]
        for block in self.blocks:
            x = block(x)
        return self.proj(self.norm(x)[:, visible:])


def prepare_step(asked):
    """The step as a function that gives the loss, and the number of parameters that are trained."""
    image_size, patch_size, batch_size = asked["imageSize"], asked["patchSize"], asked["batchSize"]
    patches = (image_size // patch_size) ** 2
    encoder = Encoder(asked["encoder"], image_size, patch_size)
    predictor = Predictor(asked["predictor"], asked["encoder"]["dim"], patches)
    target_encoder = copy.deepcopy(encoder).requires_grad_(False)
    trained = [*encoder.parameters(), *predictor.parameters()]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": 0.04},
        {"params": [each for each in trained if each.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    images = torch.randn(batch_size, 3, image_size, image_size)

    def draw(tokens):
        return torch.stack([torch.randperm(patches)[:tokens].sort().values for _ in range(batch_size)])

    (_, visible), (blocks, hidden) = asked["masks"]["context"], asked["masks"]["target"]
    kept, targets = draw(visible), [draw(hidden) for _ in range(blocks)]

    def loss_of():
        with torch.no_grad():
            whole = target_encoder(images)
            whole = functional.layer_norm(whole, whole.shape[-1:])
            wanted = torch.cat([keep_tokens(whole, target) for target in targets], 0)  # [T B, J, D]
        predicted = predictor(encoder(images, kept), kept, targets)
        return functional.smooth_l1_loss(predicted.float(), wanted.float())

    if asked["compile"]:
        loss_of = torch.compile(loss_of)

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=asked["precision"] == "bfloat16"):
            loss = loss_of()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_([*target_encoder.parameters()], [*encoder.parameters()], 1 - EMA_DECAY)
        return loss.item()

    return step, sum(each.numel() for each in trained)


def peak_memory_mib():
    """Most memory that the process ever held. macOS tells bytes, Linux KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)


def main():
    asked = json.loads(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(asked["threads"])
    step, parameters = prepare_step(asked)
    seconds = []
    for _ in range(WARM_UP + asked["steps"]):
        started = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - started)
    timed = seconds[WARM_UP:]
    median = statistics.median_high(timed)
    result = {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "secondsPerStep": round(median, 4),
        "minSeconds": round(min(timed), 4),
        "imagesPerSecond": round(asked["batchSize"] / median, 2),
        "firstStepSeconds": round(seconds[0], 2),
        "peakMemoryMiB": peak_memory_mib(),
        "parameters": parameters,
        "loss": loss,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
