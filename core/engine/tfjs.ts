/*
 * TensorFlow.js as this program needs it: tensors with their chained methods, every gradient, and the backends 'cpu' and
 * 'wasm'. The build makes one file of it (`build.js`): the entry point of tfjs-core for Node registers no gradients, its ES
 * modules cannot be imported by Node, and the union package that does both is 240 MB with what belongs to it.
 */
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';
import '@tensorflow/tfjs-backend-cpu';

export { getThreadsCount, setWasmPaths, version_wasm } from '@tensorflow/tfjs-backend-wasm';
export * from '@tensorflow/tfjs-core';
