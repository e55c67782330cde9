import { UserError } from '../base/errors.js';
import type { ParameterShapes } from '../nn/parameters.js';
import { isDictionary, isList, isTensor, type TorchTensor, type TorchTree, tensorOf } from './torch/tree.js';

/** What AdamW keeps of the parameters that it trains; nothing of those that no gradient has reached. */
export interface Moments {
  /** Steps that were done. */
  readonly step: number;
  /** Moving averages of gradients. */
  readonly first: Trained;
  /** Those of their squares. */
  readonly second: Trained;
}

const TRAINED = ['encoder', 'predictor'] as const;
type Trained = Readonly<Record<(typeof TRAINED)[number], ReadonlyMap<string, TorchTensor>>>;
type Shapes = Readonly<Record<keyof Trained, ParameterShapes>>;

/** PyTorch's names of the moving averages, by ours. */
const AVERAGES = { first: 'exp_avg', second: 'exp_avg_sq' } as const;
/** Of a group; the reference code sets learning rate and weight decay anew at each step. */
const ADAMW = { lr: 0.001, betas: [0.9, 0.999], eps: 1e-8, amsgrad: false };
const WEIGHT_DECAY = 0.01;

/**
 * Moments out of the state of the reference code's optimiser.
 * @param tree `opt` of its checkpoint
 * @param shapes of the networks in the reference code's order, positions among them
 * @returns null where there are none
 * @throws UserError if they are not those of the networks
 */
export async function readMoments(path: string, tree: TorchTree | undefined, shapes: Shapes): Promise<Moments | null> {
  const [states, saved] = ['state', 'param_groups'].map((key) => (isDictionary(tree) ? tree.get(key) : undefined));
  if (!isDictionary(states) || !isList(saved) || states.size === 0) return null;
  const otherModel = (reason: string) =>
    new UserError(`the optimiser of ${path} is not that of its networks: ${reason}`, {
      expected: 'AdamW with the four groups of parameters that facebookresearch/ijepa makes',
      remedy: 'name a checkpoint of its training, or save it without opt',
    });
  const numbers = saved.flatMap((group) => {
    const params = isDictionary(group) ? group.get('params') : undefined;
    return isList(params) ? params : [];
  });
  const parameters = groupsOf(shapes).flat();
  if (numbers.length !== parameters.length) {
    throw otherModel(`it has ${numbers.length} parameters instead of ${parameters.length}`);
  }
  const averages = {
    first: { encoder: new Map<string, TorchTensor>(), predictor: new Map<string, TorchTensor>() },
    second: { encoder: new Map<string, TorchTensor>(), predictor: new Map<string, TorchTensor>() },
  };
  const steps = new Set<TorchTree | undefined>();
  for (const [at, { network, name }] of parameters.entries()) {
    const own = states.get(Number(numbers[at]));
    if (!isDictionary(own)) continue;
    for (const slot of ['first', 'second'] as const) {
      const tensor = own.get(AVERAGES[slot]);
      const shape = shapes[network][name];
      if (!isTensor(tensor) || tensor.type !== 'float32' || tensor.shape.join() !== shape.join()) {
        throw otherModel(`it has no ${AVERAGES[slot]} [${shape}] of ${network}.${name}`);
      }
      averages[slot][network].set(name, tensor);
    }
    const step = own.get('step');
    steps.add(isTensor(step) ? Number((await step.read())[0]) : step); // PyTorch before 1.12 has a number
  }
  if (steps.size === 0) return null;
  const [step] = steps;
  if (steps.size > 1 || !Number.isSafeInteger(step)) throw otherModel(`its steps are ${[...steps].slice(0, 3)}`);
  return { step: Number(step), ...averages };
}

/** The state of the reference code's optimiser, for `load_state_dict`. */
export function optimiserTree(moments: Moments | null, shapes: Shapes): TorchTree {
  const states = new Map<number, TorchTree>();
  let number = 0;
  const groups = groupsOf(shapes).map((group, at) => {
    const numbers = group.map(({ network, name }) => {
      const first = moments?.first[network].get(name);
      const second = moments?.second[network].get(name);
      if (moments && first && second) {
        const step = tensorOf([], Float32Array.of(moments.step));
        states.set(number, dictionary({ step, [AVERAGES.first]: first, [AVERAGES.second]: second }));
      }
      return number++;
    });
    const isVectors = at >= TRAINED.length;
    const decay = isVectors ? { weight_decay: 0, WD_exclude: true } : { weight_decay: WEIGHT_DECAY };
    return dictionary({ ...ADAMW, ...decay, params: numbers });
  });
  return dictionary({ state: states, param_groups: groups });
}

/** The reference code's groups (`init_opt`): matrices of the encoder and of the predictor, then what else each has. */
function groupsOf(shapes: Shapes): { network: keyof Trained; name: string }[][] {
  return [false, true].flatMap((wantsVectors) =>
    TRAINED.map((network) =>
      Object.entries(shapes[network])
        .filter(([name, shape]) => (name.includes('bias') || shape.length === 1) === wantsVectors)
        .map(([name]) => ({ network, name })),
    ),
  );
}

function dictionary(entries: Readonly<Record<string, TorchTree>>): TorchTree {
  return new Map(Object.entries(entries));
}
