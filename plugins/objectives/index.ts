import type { Plugin } from '../../core/plugin.js';
import { isotropy } from './isotropy.js';
import { l2, smoothL1 } from './losses.js';
import { sigreg } from './sigreg.js';
import { vicreg } from './vicreg.js';

const plugin = {
  name: 'objectives',
  summary: 'What is trained for: distances of representations, and terms against their collapse',
  losses: [l2, smoothL1],
  regularizers: [vicreg, sigreg, isotropy],
} satisfies Plugin;

export default plugin;
