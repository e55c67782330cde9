// tfjs-core, and what else of the union package @tensorflow/tfjs-node-gpu names when it is loaded.
const core = require('@tensorflow/tfjs-core');

/** Of tfjs-layers, which nobody uses here: callbacks of the package extend and announce themselves. */
class CustomCallback {}
const registerCallbackConstructor = () => {};

module.exports = { ...core, CustomCallback, registerCallbackConstructor, version: { 'tfjs-core': core.version_core } };
