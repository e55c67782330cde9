/** How an optimiser treats the parameters of a network. */
export interface ParameterPolicy {
  /** Whether weight decay applies; default: to matrices and kernels, not to biases and scales. */
  isDecayed?(name: string, shape: readonly number[]): boolean;
  /** Multiplies the learning rate (and with it, decoupled weight decay); default: 1. */
  learningRateFactor?(name: string): number;
}

/** Weight decay for everything that has more than one dimension. */
export function decaysMatrices(_name: string, shape: readonly number[]): boolean {
  return shape.length > 1;
}
