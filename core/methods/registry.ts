import byol from './byol/method.js';
import cae from './cae/method.js';
import cjepa from './cjepa/method.js';
import data2vec from './data2vec/method.js';
import dino from './dino/method.js';
import ibot from './ibot/method.js';
import ijepa from './ijepa/method.js';
import lejepa from './lejepa/method.js';
import mae from './mae/method.js';
import type { MethodDefinition } from './method.js';
import msn from './msn/method.js';
import simclr from './simclr/method.js';

/** The methods that come with the program; the first is the usual one. */
export const METHODS: readonly MethodDefinition[] = [
  ijepa,
  cjepa,
  mae,
  data2vec,
  lejepa,
  dino,
  ibot,
  cae,
  msn,
  simclr,
  byol,
];
