import type { Node, Value } from './graph.js';

/** A graph that is ready to be run: what goes in, what comes out, and what identifies its structure. */
export interface Structure {
  /** Equal for graphs that one session can run. */
  key: string;
  /** In the order in which they can run. */
  nodes: Node[];
  inputs: Value[];
  constants: Value[];
  outputs: Value[];
  outputNames: string[];
  /** The name of each value: its number in the order of appearance. */
  names: ReadonlyMap<Value, string>;
}

/** Finds everything that the outputs need and describes its structure. */
export function analyse(outputs: readonly Value[]): Structure {
  const nodes = orderNodes(outputs);
  const names = new Map<Value, string>();
  const inputs: Value[] = [];
  const constants: Value[] = [];
  const parts: string[] = [];
  const nameOf = (value: Value) => {
    let name = names.get(value);
    if (name !== undefined) return name;
    name = `v${names.size}`;
    names.set(value, name);
    if (value.node) return name;
    if (value.constant) {
      constants.push(value);
      parts.push(`${name}=${value.type}[${value.constant.dims}]${value.constant.data.join()}`);
    } else {
      inputs.push(value);
      parts.push(`${name}<${value.type}${value.shape.length}`);
    }
    return name;
  };
  for (const node of nodes) {
    const from = node.inputs.map((value) => (value ? nameOf(value) : '')).join();
    const attributes = Object.keys(node.attributes).length > 0 ? JSON.stringify(node.attributes) : '';
    parts.push(`${node.operator}${attributes}(${from})${node.outputs.map(nameOf).join()}`);
  }
  const outputNames = outputs.map(nameOf);
  parts.push(`>${outputNames.join()}`);
  return { key: parts.join(';'), nodes, inputs, constants, outputs: [...outputs], outputNames, names };
}

/** Nodes that are still to run, each after those whose outputs it needs. */
function orderNodes(outputs: readonly Value[]): Node[] {
  const ordered: Node[] = [];
  const seen = new Set<Node>();
  const stack: { node: Node; next: number }[] = [];
  const visit = (value: Value | null | undefined) => {
    if (!value?.node || seen.has(value.node)) return;
    seen.add(value.node);
    stack.push({ node: value.node, next: 0 });
  };
  for (const output of outputs) {
    visit(output);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      if (top.next < top.node.inputs.length) visit(top.node.inputs[top.next++]);
      else ordered.push((stack.pop() as { node: Node }).node);
    }
  }
  return ordered;
}
