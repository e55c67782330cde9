import { setImmediate } from 'node:timers/promises';
import { UserError } from '../base/errors.js';
import { findMethod } from '../config/choose-method.js';
import { flagOf, formatValue } from '../config/option.js';
import type { Options } from '../config/schema.js';
import { tf } from '../engine/tf.js';
import type { MethodDefinition } from '../methods/method.js';
import { selectPlugins } from '../plugins/plugin.js';
import { broadcastJson, SharedError } from '../train/communicator/ranks.js';
import type { StopSignal } from './interrupt.js';
import { prepareTraining } from './prepare.js';
import type { PretrainRequest } from './pretrain.js';
import { runFolder } from './run-folder.js';
import { type SharedTask, shareState } from './share.js';
import { withAdvice } from './step-advice.js';
import { prepareSteps } from './steps.js';

/** Options that may differ from host to host. */
const OF_HOSTS = ['threads', 'memory', 'decodeThreads', 'mpi'];

/**
 * Trains as a rank that is not rank 0: it computes its part of each step, and writes nothing.
 * @returns the signal that asked a rank to stop; null where the run is complete
 * @throws UserError if this rank was started with other options than rank 0, or does not have the same data and engine
 */
export async function followRun(request: PretrainRequest): Promise<StopSignal['received']> {
  const { ranks, stop, resolved } = request;
  const task = await broadcastJson<SharedTask>(ranks, null);
  requireSameOptions(resolved, task.given);
  const { options: asked, microBatchSize } = task;
  const mine = Object.fromEntries(OF_HOSTS.map((name) => [name, resolved.options[name as keyof Options]]));
  const options = { ...asked, ...mine } as Options;
  const plugins = await request.plugins(options.plugins);
  const definition: MethodDefinition = findMethod(request.methods(plugins), task.method, '');
  const selected = selectPlugins(definition, options, plugins);
  const training = await prepareTraining({
    ...{ definition, options, plugins, selected, ranks, microBatchSize },
    listing: {},
  });
  ranks.phase('waiting');
  let state = await shareState(training, null);
  const { checkpoints } = runFolder(options.out ?? '');
  const steps = prepareSteps(training, stop, state.step, (step) =>
    withAdvice(step, training.extensions, options, checkpoints),
  );
  let stopped: StopSignal['received'] = null;
  try {
    while (state.step < steps.totalSteps && stopped === null) {
      const ready = await steps.read(false);
      stopped = ready.stop;
      if (!ready.batch) break;
      ({ state } = await steps.take(state, ready.batch));
      if (ready.isSaved) await steps.forSaving(state);
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
    }
    await steps.forSaving(state);
    return stopped;
  } catch (error) {
    if (error instanceof SharedError) await steps.forSaving(state); // rank 0 saves
    throw error;
  } finally {
    await steps.close();
    tf.dispose(state);
    training.method.dispose();
  }
}

function requireSameOptions({ options, schema }: PretrainRequest['resolved'], given: Options): void {
  for (const [name, option] of Object.entries(schema)) {
    const [own, other] = [options[name as keyof Options], given[name as keyof Options]];
    if (OF_HOSTS.includes(name) || JSON.stringify(own) === JSON.stringify(other)) continue;
    throw new UserError(
      `${flagOf(name, option)} is ${formatValue(option, own)} here, and ${formatValue(option, other)} on rank 0`,
      {
        expected: 'the same options on every rank',
        remedy: 'start all of them by one command, with one configuration',
      },
    );
  }
}
