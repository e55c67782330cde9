import protobuf from 'protobufjs/light.js';
import { type Attribute, ELEMENT_TYPES, type Node, type ValueData, type ValueType } from './graph.js';

/*
 * Writes a graph in ONNX's file format. The message types are those parts of onnx.proto (ONNX IR version 10) that a graph
 * of tensors needs, with its names and numbers.
 */
const OPERATOR_SET = 21;
const MICROSOFT_OPERATOR_SET = 1;
const IR_VERSION = 10;

/** Kinds of attributes (AttributeProto.AttributeType). */
const ATTRIBUTE = { FLOAT: 1, INT: 2, STRING: 3, INTS: 7 } as const;

const field = (id: number, type: string, rule?: 'repeated') => ({ id, type, ...(rule && { rule }) });
const ModelProto = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        ir_version: field(1, 'int64'),
        graph: field(7, 'GraphProto'),
        opset_import: field(8, 'OperatorSetIdProto', 'repeated'),
      },
    },
    OperatorSetIdProto: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    GraphProto: {
      fields: {
        node: field(1, 'NodeProto', 'repeated'),
        name: field(2, 'string'),
        initializer: field(5, 'TensorProto', 'repeated'),
        input: field(11, 'ValueInfoProto', 'repeated'),
        output: field(12, 'ValueInfoProto', 'repeated'),
      },
    },
    NodeProto: {
      fields: {
        input: field(1, 'string', 'repeated'),
        output: field(2, 'string', 'repeated'),
        name: field(3, 'string'),
        op_type: field(4, 'string'),
        attribute: field(5, 'AttributeProto', 'repeated'),
        domain: field(7, 'string'),
      },
    },
    AttributeProto: {
      fields: {
        name: field(1, 'string'),
        f: field(2, 'float'),
        i: field(3, 'int64'),
        s: field(4, 'bytes'),
        ints: field(8, 'int64', 'repeated'),
        type: field(20, 'int32'),
      },
    },
    TensorProto: {
      fields: {
        dims: field(1, 'int64', 'repeated'),
        data_type: field(2, 'int32'),
        name: field(8, 'string'),
        raw_data: field(9, 'bytes'),
      },
    },
    ValueInfoProto: { fields: { name: field(1, 'string'), type: field(2, 'TypeProto') } },
    TypeProto: { fields: { tensor_type: field(1, 'TensorTypeProto') } },
    TensorTypeProto: { fields: { elem_type: field(1, 'int32') } },
  },
}).lookupType('ModelProto');

/** A graph with names for its values. */
export interface NamedGraph {
  nodes: readonly { node: Node; inputs: readonly string[]; outputs: readonly string[] }[];
  constants: readonly { name: string; type: ValueType; dims: readonly number[]; data: ValueData }[];
  inputs: readonly { name: string; type: ValueType }[];
  outputs: readonly { name: string; type: ValueType }[];
}

/** The bytes of an ONNX model. */
export function encodeModel({ nodes, constants, inputs, outputs }: NamedGraph): Uint8Array {
  const model = {
    ir_version: IR_VERSION,
    opset_import: [
      { domain: '', version: OPERATOR_SET },
      { domain: 'com.microsoft', version: MICROSOFT_OPERATOR_SET },
    ],
    graph: {
      name: 'step',
      node: nodes.map(({ node, inputs: from, outputs: to }, index) => ({
        input: from,
        output: to,
        name: `${node.operator}_${index}`,
        op_type: node.operator,
        domain: node.domain,
        attribute: Object.entries(node.attributes).map(([name, value]) => ({ name, ...encodeAttribute(value) })),
      })),
      initializer: constants.map(({ name, type, dims, data }) => ({
        name,
        dims,
        data_type: ELEMENT_TYPES[type],
        raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      })),
      input: inputs.map(declaration),
      output: outputs.map(declaration),
    },
  };
  return ModelProto.encode(model as unknown as protobuf.Message).finish();
}

/**
 * An input or output, of any shape. Shapes with names for their sides would be compared with one another wherever memory
 * is planned, which takes a time that grows with the square of the graph and finds nothing.
 */
function declaration({ name, type }: { name: string; type: ValueType }): object {
  return { name, type: { tensor_type: { elem_type: ELEMENT_TYPES[type] } } };
}

function encodeAttribute(value: Attribute): object {
  if (typeof value === 'number') return { i: value, type: ATTRIBUTE.INT };
  if (typeof value === 'string') return { s: new TextEncoder().encode(value), type: ATTRIBUTE.STRING };
  if ('float' in value) return { f: value.float, type: ATTRIBUTE.FLOAT };
  return { ints: value, type: ATTRIBUTE.INTS };
}
