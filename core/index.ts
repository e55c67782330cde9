/*
 * The program as a library: `import { loadEncoder, extractFeatures } from 'ijepa'`. README.md beside this file shows how.
 * Nothing else of the program is promised to stay as it is.
 */
import { DATA_SETS } from '../plugins/index.js';
import { type Encoder, type FeatureOptions, type Features, featuresOf, type Images } from './eval/encoder.js';

export { UserError } from './base/errors.js';
export {
  type Encoder,
  type EncoderOptions,
  type FeatureOptions,
  type Features,
  type Images,
  loadEncoder,
} from './eval/encoder.js';
export * from './plugin.js';

/** `featuresOf` with the data sets that come with the program. */
export function extractFeatures(encoder: Encoder, images: Images, options: FeatureOptions = {}): Promise<Features> {
  return featuresOf(encoder, images, { dataSets: DATA_SETS, ...options });
}
