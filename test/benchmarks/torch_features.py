"""The PyTorch peer of features.ts: features of an encoder with random weights on random images.

    python3 test/benchmarks/torch_features.py '{"size": {"dim": 384, "depth": 12, "heads": 6, "mlpRatio": 4},
      "imageSize": 224, "patchSize": 16, "batchSize": 16, "batches": 7, "threads": 2, "precision": "float32"}'

prints one JSON document; bfloat16 is that of autocast. With "exportTo": FOLDER it writes the encoder instead, as transformers.js
opens it; that needs the packages onnx and onnxscript.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.append(str(Path(__file__).parents[2] / "core/methods/ijepa"))
from torch_step import Encoder, peak_memory_mib  # noqa: E402

LAYERS = 4  # features of the last four blocks
WARM_UP = 2  # batches before the clock is started


class Features(nn.Module):
    """Average-pooled features of the last blocks, [B, 3, S, S] -> [B, 4 D]."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images):
        x = self.encoder.tokens(images)
        features = []
        blocks = self.encoder.blocks
        for index, block in enumerate(blocks):
            x = block(x)
            if index >= len(blocks) - LAYERS:
                features.append(self.encoder.norm(x).mean(1))
        return torch.cat(features, 1)


def export(features, images, folder):
    import onnx_ir

    names = {"input_names": ["pixel_values"], "output_names": ["last_hidden_state"]}
    program = torch.onnx.export(features, (images,), dynamo=True, verbose=False, **names)
    (folder / "onnx").mkdir(parents=True)
    onnx_ir.save(program.model, folder / "onnx" / "model.onnx", external_data="model.onnx_data")
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "architectures": ["ViTModel"]}))


def measure(features, images, asked):
    seconds = []
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=asked["precision"] == "bfloat16"):
        for batch in range(WARM_UP + asked["batches"]):
            if batch == WARM_UP:
                cpu_start = time.process_time()
            started = time.perf_counter()
            features(images)
            seconds.append(time.perf_counter() - started)
    cpu = time.process_time() - cpu_start
    timed = seconds[WARM_UP:]
    return {
        "by": "PyTorch",
        "version": torch.__version__,
        "precision": asked["precision"],
        "threads": asked["threads"],
        "imagesPerSecond": round(asked["batchSize"] / statistics.median_high(timed), 2),
        "fastestImagesPerSecond": round(asked["batchSize"] / min(timed), 2),
        "cpuSecondsPerImage": round(cpu / (asked["batchSize"] * len(timed)), 4),
        "firstBatchSeconds": round(seconds[0], 2),
        "peakMemoryMiB": peak_memory_mib(),
    }


@torch.no_grad()
def main():
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    torch.manual_seed(0)
    features = Features(Encoder(asked["size"], asked["imageSize"], asked["patchSize"])).eval()
    images = torch.randn(asked["batchSize"], 3, asked["imageSize"], asked["imageSize"])
    if "exportTo" in asked:
        export(features, images, Path(asked["exportTo"]))
    else:
        print(json.dumps(measure(features, images, asked)))


if __name__ == "__main__":
    main()
