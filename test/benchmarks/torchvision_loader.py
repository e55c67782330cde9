"""The PyTorch peer of `ijepa bench --data`: batches of random crops by torchvision's DataLoader, as one JSON document.

The pictures of a folder (any depth) are decoded, cut by RandomResizedCrop, and normalised; no model is run. For example
    /usr/bin/python3 test/benchmarks/torchvision_loader.py PICTURES --workers 2 --batch-size 64 --image-size 224 --batches 30
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}
WARM_UP = 3


class Pictures(Dataset):
    """Random crops of the pictures below a folder, each as [3, S, S]; over and over up to `length`."""

    def __init__(self, folder, image_size, length):
        self.paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in EXTENSIONS)
        self.length = length
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(image_size, scale=(0.3, 1.0)),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        with Image.open(self.paths[index % len(self.paths)]) as picture:
            return self.transform(picture.convert("RGB"))


def cpu_seconds():
    """Of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batches", type=int, default=30)
    asked = parser.parse_args()
    batches = asked.batches + WARM_UP
    pictures = Pictures(asked.folder, asked.image_size, batches * asked.batch_size)
    loader = DataLoader(pictures, asked.batch_size, shuffle=True, num_workers=asked.workers, drop_last=True)
    cpu_start = cpu_seconds()
    seconds = []
    started = time.perf_counter()
    for _ in loader:
        ended = time.perf_counter()
        seconds.append(ended - started)
        started = ended
    del loader
    cpu = cpu_seconds() - cpu_start
    timed = seconds[WARM_UP:]
    result = {
        "loader": "torchvision",
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        "workers": asked.workers,
        "images": len(pictures.paths),
        "imageSize": asked.image_size,
        "batchSize": asked.batch_size,
        "batches": asked.batches,
        "imagesPerSecond": round(asked.batch_size * len(timed) / sum(timed), 1),
        "medianImagesPerSecond": round(asked.batch_size / statistics.median(timed), 1),
        "cpuSecondsPerImage": round(cpu / (asked.batch_size * batches), 5),
        # The largest of this process and of its largest worker, not their sum.
        "peakMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peakMemoryOfWorkerMiB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
