import { calledDirectly, type EngineStarter, oneAtATime } from './contract.js';
import { tf } from './tf.js';
import { accumulate, updateParameter } from './update.js';

/** TensorFlow.js's own plain JavaScript backend: slow, always there, easy to step through. */
export const cpu: EngineStarter = {
  name: 'cpu',
  async start() {
    tf.enableProdMode(); // otherwise the backend advertises another package on standard error
    if (!(await tf.setBackend('cpu'))) throw new Error('the plain JavaScript backend did not start');
    return {
      name: 'cpu',
      version: tf.version_core,
      device: 'CPU (plain JavaScript)',
      threads: 1,
      memory: { limit: null, kind: 'stepwise', of: 'machine' },
      compile: calledDirectly,
      ...oneAtATime,
      updateParameter,
      accumulate,
    };
  },
};
