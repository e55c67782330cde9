// tfjs-core, and what else of the union package @tensorflow/tfjs-node-gpu names when it is loaded.
const core = require('@tensorflow/tfjs-core');

/** Of tfjs-layers, which nobody uses here: callbacks of the addon extend it. */
class CustomCallback {}

module.exports = { ...core, CustomCallback, version: { 'tfjs-core': core.version_core } };
