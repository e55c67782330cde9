"""The other side of the exchange of models: transformers and timm.

    python models.py load LIBRARY FOLDER IMAGES OUT     features of our export, by the library
    python models.py classify FOLDER IMAGES OUT         'logits' [B, C] of our export with a head, by transformers
    python models.py make KIND FOLDER IMAGES OUT        a model of the library's own with random weights, and its features

IMAGES is a safetensors file with 'images' [B, 3, S, S]; OUT gets 'tokens' [B, N', D] and 'features' [B, D], the mean over
patches. KIND: ijepa, ijepa-half, ijepa-bfloat16, ijepa-sharded, vit, vit_mae, dinov2, timm.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

SIZES = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, image_size=24, patch_size=8)


def tokens_of(library, folder, images):
    if library == 'timm':
        import timm

        model = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()
        return model.forward_features(images), model.num_prefix_tokens
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    if model.config.model_type == 'vit_mae':
        model.config.mask_ratio = 0.0  # patches are shuffled all the same
    output = model(images)
    tokens = output.last_hidden_state
    if 'ids_restore' in output:
        order = output.ids_restore[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([tokens[:, :1], tokens[:, 1:].gather(1, order)], 1)
    return tokens, tokens.shape[1] - (images.shape[-1] // model.config.patch_size) ** 2


def make(kind, folder):
    torch.manual_seed(1)
    if kind == 'timm':
        return make_timm(folder)
    import transformers as hub

    family, _, form = kind.partition('-')
    config, model = {
        'ijepa': (hub.IJepaConfig, hub.IJepaModel),
        'vit': (hub.ViTConfig, hub.ViTForImageClassification),
        'vit_mae': (hub.ViTMAEConfig, hub.ViTMAEForPreTraining),
        'dinov2': (hub.Dinov2Config, hub.Dinov2Model),
    }[family]
    hidden = {} if family == 'dinov2' else {'intermediate_size': 192}
    eps = {'layer_norm_eps': 1e-6} if family == 'ijepa' else {}
    net = model(config(**SIZES, **hidden, **eps)).eval()
    disturb(net)
    dtype = {'half': torch.float16, 'bfloat16': torch.bfloat16}.get(form, torch.float32)
    limit = {'max_shard_size': '100KB'} if form == 'sharded' else {}
    net.to(dtype).save_pretrained(folder, **limit)
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    processor = {'image_mean': mean, 'image_std': std, 'do_normalize': True}
    pathlib.Path(folder, 'preprocessor_config.json').write_text(json.dumps(processor))


def make_timm(folder):
    import timm

    args = dict(img_size=24, patch_size=8, embed_dim=48, depth=3, num_heads=3, class_token=False, global_pool='avg')
    net = timm.create_model('vit_base_patch16_224', num_classes=0, fc_norm=False, **args).eval()
    disturb(net)
    pathlib.Path(folder).mkdir()
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, f'{folder}/model.safetensors')
    args.update(fc_norm=False)
    described = {'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225], 'tag': 'in1k_ijepa', 'num_classes': 0}
    described.update(input_size=[3, 24, 24], fixed_input_size=True, first_conv='patch_embed.proj', classifier='head')
    config = {'architecture': 'vit_base_patch16_224', 'num_classes': 0, 'num_features': 48, 'global_pool': 'avg'}
    text = json.dumps({**config, 'model_args': args, 'pretrained_cfg': described})
    pathlib.Path(folder, 'config.json').write_text(text)


def disturb(net):
    """Biases, scales and tokens that are not all alike."""
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.ndim == 1 or 'token' in name or 'position' in name:
                value += 0.1 * torch.randn_like(value)


def classify(folder, images, out):
    from transformers import AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(load_file(images)['images']).logits
    save_file({'logits': logits.contiguous()}, out)
    print(' '.join(model.config.id2label[at] for at in range(logits.shape[1])))


def main():
    if sys.argv[1] == 'classify':
        return classify(*sys.argv[2:])
    task, kind, folder, images, out = sys.argv[1:]
    if task == 'make':
        make(kind, folder)
    with torch.no_grad():
        tokens, first = tokens_of('timm' if kind == 'timm' else 'hf', folder, load_file(images)['images'])
    save_file({'tokens': tokens.contiguous(), 'features': tokens[:, first:].mean(1).contiguous()}, out)


main()
