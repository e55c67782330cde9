/** A problem that the user can mend: what is wrong, what was expected, what to do. */
export class PluginError extends Error {
  override readonly name = 'PluginError';

  /** A plugin may bring a copy of this class: the name tells. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === 'PluginError';
  }

  constructor(
    problem: string,
    readonly advice: { expected?: string; remedy?: string } = {},
  ) {
    super(problem);
  }
}
