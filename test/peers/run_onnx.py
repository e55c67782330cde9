"""Models that we export, in ONNX's own checker and ONNX Runtime for Python.

    python run_onnx.py MODEL IMAGES OUT

IMAGES is a safetensors file with 'images' [B, 3, S, S]; OUT gets 'tokens' [B, N', D], computed for all images at once, and
'alone', the same for the first image.
"""

import sys

import onnx
import onnxruntime
from safetensors.numpy import load_file, save_file


def main():
    path, images, out = sys.argv[1:]
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    assert model.ir_version == 8 and [(used.domain, used.version) for used in model.opset_import] == [('', 17)]
    pixels = load_file(images)['images']
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    tokens, alone = (session.run(None, {'pixel_values': some})[0] for some in (pixels, pixels[:1]))
    save_file({'tokens': tokens, 'alone': alone}, out)


main()
