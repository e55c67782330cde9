"""The other side of files of PyTorch: checkpoints in the form of facebookresearch/ijepa (src/helper.py, src/train.py).

    python torch_files.py save FORM FILE       a checkpoint of random weights after two steps of AdamW; FORM: zip or legacy
    python torch_files.py same FILE OTHER      whether two files hold the same networks, optimiser and epoch
"""

import sys

import torch

DIM, DEPTH, WIDTH, PATCH, GRID = 192, 2, 96, 4, 3


def blocks(prefix, dim, depth):
    shapes = {}
    for i in range(depth):
        own = {'norm1': [dim], 'attn.qkv': [3 * dim, dim], 'attn.proj': [dim, dim], 'norm2': [dim]}
        own.update({'mlp.fc1': [4 * dim, dim], 'mlp.fc2': [dim, 4 * dim]})
        for name, shape in own.items():
            shapes[f'{prefix}.{i}.{name}.weight'] = shape
            shapes[f'{prefix}.{i}.{name}.bias'] = shape[:1]
    return shapes


def encoder_shapes():
    return {
        'pos_embed': [1, GRID**2, DIM],
        'patch_embed.proj.weight': [DIM, 3, PATCH, PATCH],
        'patch_embed.proj.bias': [DIM],
        **blocks('blocks', DIM, DEPTH),
        'norm.weight': [DIM],
        'norm.bias': [DIM],
    }


def predictor_shapes():
    return {
        'mask_token': [1, 1, WIDTH],
        'predictor_pos_embed': [1, GRID**2, WIDTH],
        'predictor_embed.weight': [WIDTH, DIM],
        'predictor_embed.bias': [WIDTH],
        **blocks('predictor_blocks', WIDTH, DEPTH),
        'predictor_norm.weight': [WIDTH],
        'predictor_norm.bias': [WIDTH],
        'predictor_proj.weight': [DIM, WIDTH],
        'predictor_proj.bias': [DIM],
    }


def sincos(dim):
    """src/models/vision_transformer.py: get_2d_sincos_pos_embed, columns first."""
    omega = 1 / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    place = torch.arange(GRID, dtype=torch.float64)
    rows, columns = (each.flatten() for each in torch.meshgrid(place, place, indexing='ij'))
    parts = [f(each[:, None] * omega) for each in (columns, rows) for f in (torch.sin, torch.cos)]
    return torch.cat(parts, 1).float()[None]


def network(shapes):
    fixed = {'pos_embed': DIM, 'predictor_pos_embed': WIDTH}
    return {
        name: torch.nn.Parameter(sincos(fixed[name]) if name in fixed else torch.randn(shape), name not in fixed)
        for name, shape in shapes.items()
    }


def save(form, path):
    torch.manual_seed(0)
    encoder, predictor, target = network(encoder_shapes()), network(predictor_shapes()), network(encoder_shapes())
    is_vector = lambda name, value: 'bias' in name or value.ndim == 1
    groups = [
        {'params': [value for name, value in net.items() if is_vector(name, value) == vectors]}
        for vectors in (False, True)
        for net in (encoder, predictor)
    ]
    opt = torch.optim.AdamW(groups)
    for _ in range(2):
        for net in (encoder, predictor):
            for value in net.values():
                value.grad = torch.randn_like(value) if value.requires_grad else None
        opt.step()
    named = lambda net: {f'module.{name}': value.detach().clone() for name, value in net.items()}
    saved = {'encoder': named(encoder), 'predictor': named(predictor), 'target_encoder': named(target)}
    saved.update(opt=opt.state_dict(), scaler=None, epoch=7, loss=0.5, batch_size=8, world_size=1, lr=1e-3)
    torch.save(saved, path, _use_new_zipfile_serialization=form == 'zip')


def same(first, second):
    a, b = (torch.load(path, weights_only=True) for path in (first, second))
    for net in ('encoder', 'predictor', 'target_encoder'):
        assert list(a[net]) == list(b[net]), net
        for name in a[net]:
            # Positions are computed anew, in double precision.
            is_equal = torch.allclose(a[net][name], b[net][name], atol=1e-6) if 'pos_embed' in name else (
                torch.equal(a[net][name], b[net][name])
            )
            assert is_equal, (net, name)
    assert [each['params'] for each in a['opt']['param_groups']] == [each['params'] for each in b['opt']['param_groups']]
    states = a['opt']['state'], b['opt']['state']
    assert states[0].keys() == states[1].keys()
    for number, own in states[0].items():
        for key in ('exp_avg', 'exp_avg_sq', 'step'):
            assert torch.equal(own[key], states[1][number][key]), (number, key)
    assert a['epoch'] == b['epoch'] == 7
    torch.load(second, weights_only=True, mmap=True)
    print(f'{sum(len(a[net]) for net in ("encoder", "predictor", "target_encoder"))} tensors equal')


{'save': save, 'same': same}[sys.argv[1]](*sys.argv[2:])
