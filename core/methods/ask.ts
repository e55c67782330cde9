import { UserError } from '../base/errors.js';
import { failureOf, reasonInPlugin } from '../contract/extension.js';
import { tf } from '../engine/tf.js';
import type { MethodExtension } from './method.js';

/** What a plugin gives; what it throws is told with its name. */
export function ask<T>(extension: MethodExtension, compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    throw failedIn(extension, error);
  }
}

export function failedIn(extension: MethodExtension, error: unknown): UserError {
  return error instanceof UserError ? error : failureOf(extension, `failed: ${reasonInPlugin(error)}`, error);
}

/** What a plugin gave in the place of a tensor, for people. */
export function describeValue(value: unknown): string {
  if (value instanceof tf.Tensor) return `a tensor of ${value.dtype}[${value.shape}]`;
  if (value instanceof Promise) return 'a promise';
  if (value === null || typeof value !== 'object') return String(value);
  return `an object of ${value.constructor?.name ?? 'no'} class`;
}
