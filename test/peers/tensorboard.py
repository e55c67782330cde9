"""What TensorBoard reads in a folder of event files, as JSON.

    python tensorboard.py FOLDER

{"scalars": {TAG: [[step, value], ...]}, "images": {TAG: [[step, width, height], ...]}, "texts": {TAG: [[step, text], ...]}}
"""

import json
import sys

# Its package has this file's name, and Python looks beside this file first.
sys.path.pop(0)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

ALL = 0
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": ALL, "images": ALL, "tensors": ALL})
events.Reload()
tags = events.Tags()
found = {
    "scalars": {tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in tags["scalars"]},
    "images": {tag: [[event.step, event.width, event.height] for event in events.Images(tag)] for tag in tags["images"]},
    "texts": {
        tag: [[event.step, event.tensor_proto.string_val[0].decode()] for event in events.Tensors(tag)]
        for tag in tags["tensors"]
    },
}
print(json.dumps(found))
