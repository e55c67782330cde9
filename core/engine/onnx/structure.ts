import { messageTypes } from '../../base/protobuf.js';
import { type Attribute, ELEMENT_TYPES, MICROSOFT, type Node, type Value, type ValueData } from './graph.js';

/** A graph that is ready to be run: what goes in, what comes out, and what identifies its structure. */
export interface Structure {
  /** Equal for graphs that one session can run. */
  key: string;
  /** In the order in which they can run. */
  nodes: Node[];
  inputs: Value[];
  constants: Value[];
  outputs: Value[];
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
      parts.push(`${name}=${value.type}[${value.shape}]${value.constant.join()}`);
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
  parts.push(`>${outputs.map(nameOf).join()}`);
  return { key: parts.join(';'), nodes, inputs, constants, outputs: [...outputs], names };
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

/*
 * Writes a graph in ONNX's file format. The message types are those parts of onnx.proto (ONNX IR version 10) that a graph
 * of tensors needs, with its names and numbers.
 */
const OPERATOR_SET = 21;
const MICROSOFT_OPERATOR_SET = 1;
const IR_VERSION = 10;

/** Kinds of attributes (AttributeProto.AttributeType). */
const ATTRIBUTE = { FLOAT: 1, INT: 2, STRING: 3, INTS: 7 } as const;

/** Fields of each message: name, type (with * where there may be several) and number. */
const MESSAGES = {
  ModelProto: 'ir_version int64 1, graph GraphProto 7, opset_import OperatorSetIdProto* 8',
  OperatorSetIdProto: 'domain string 1, version int64 2',
  GraphProto:
    'node NodeProto* 1, name string 2, initializer TensorProto* 5, input ValueInfoProto* 11, output ValueInfoProto* 12',
  NodeProto:
    'input string* 1, output string* 2, name string 3, op_type string 4, attribute AttributeProto* 5, domain string 7',
  AttributeProto: 'name string 1, f float 2, i int64 3, s bytes 4, ints int64* 8, type int32 20',
  TensorProto: 'dims int64* 1, data_type int32 2, name string 8, raw_data bytes 9',
  ValueInfoProto: 'name string 1, type TypeProto 2',
  TypeProto: 'tensor_type TensorTypeProto 1',
  TensorTypeProto: 'elem_type int32 1, shape TensorShapeProto 2',
  TensorShapeProto: 'dim Dimension* 1',
  Dimension: 'dim_value int64 1',
};

const ModelProto = messageTypes(MESSAGES).lookupType('ModelProto');

const models = new WeakMap<Structure, Uint8Array>();

/** A structure as an ONNX model, which is written once. */
export function modelOf(structure: Structure): Uint8Array {
  const model = models.get(structure) ?? encodeModel(structure);
  models.set(structure, model);
  return model;
}

/** What is fixed of an input: sides of its shape (null: any), or all of its data, which then are part of the model. */
export type FixedInput = { shape: readonly (number | null)[]; constant: ValueData | null };

/**
 * A structure as an ONNX model.
 * @param fixed what is fixed of each input; default nothing
 */
export function encodeModel(
  { nodes, inputs, constants, outputs, names }: Structure,
  fixed: readonly FixedInput[] = [],
): Uint8Array {
  const nameOf = (value: Value | null) => (value ? (names.get(value) as string) : '');
  // An input or output of any shape. Shapes with names for their sides would be compared with one another wherever memory
  // is planned, which takes a time that grows with the square of the graph and finds nothing.
  const declare = (value: Value, at = -1) => {
    const dim = fixed[at]?.shape.map((side) => (side === null ? {} : { dim_value: side }));
    return {
      name: nameOf(value),
      type: { tensor_type: { elem_type: ELEMENT_TYPES[value.type], ...(dim && { shape: { dim } }) } },
    };
  };
  const initialise = (value: Value, { buffer, byteOffset, byteLength }: ValueData) => ({
    name: nameOf(value),
    dims: value.shape,
    data_type: ELEMENT_TYPES[value.type],
    raw_data: new Uint8Array(buffer, byteOffset, byteLength),
  });
  const model = {
    ir_version: IR_VERSION,
    opset_import: [
      { domain: '', version: OPERATOR_SET },
      { domain: MICROSOFT, version: MICROSOFT_OPERATOR_SET },
    ],
    graph: {
      name: 'step',
      node: nodes.map(({ operator, domain, attributes, inputs: from, outputs: to }, index) => ({
        input: from.map(nameOf),
        output: to.map(nameOf),
        name: `${operator}_${index}`,
        op_type: operator,
        domain,
        attribute: Object.entries(attributes).map(([name, value]) => ({ name, ...encodeAttribute(value) })),
      })),
      initializer: [
        ...constants.map((value) => initialise(value, value.constant as ValueData)),
        ...inputs.flatMap((value, at) => (fixed[at]?.constant ? [initialise(value, fixed[at].constant)] : [])),
      ],
      input: inputs.map(declare).filter((_, at) => !fixed[at]?.constant),
      output: outputs.map((value) => declare(value)),
    },
  };
  return ModelProto.encode(model).finish();
}

function encodeAttribute(value: Attribute): object {
  if (typeof value === 'number') return { i: value, type: ATTRIBUTE.INT };
  if (typeof value === 'string') return { s: new TextEncoder().encode(value), type: ATTRIBUTE.STRING };
  if ('float' in value) return { f: value.float, type: ATTRIBUTE.FLOAT };
  return { ints: value, type: ATTRIBUTE.INTS };
}
