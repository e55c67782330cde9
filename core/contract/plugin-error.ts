import { UserError } from '../base/errors.js';

/** A problem that the user can mend, as plugins say it: what is wrong, what was expected, what to do. */
export class PluginError extends UserError {
  /** A plugin may bring a copy of this class, or throw any Error of that name. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && ['PluginError', 'UserError'].includes(value.name);
  }
}
