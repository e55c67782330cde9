import protobuf from 'protobufjs/light.js';
import { messageTypes } from '../../base/protobuf.js';

/*
 * ONNX's file format, which is one of protocol buffers. The message types are those parts of onnx.proto (ONNX IR version
 * 10) that a graph of tensors needs, with its names and numbers.
 */

/** Fields of each message: name, type (with * where there may be several) and number. */
const MESSAGES = {
  ModelProto:
    'ir_version int64 1, producer_name string 2, producer_version string 3, graph GraphProto 7, opset_import OperatorSetIdProto* 8',
  OperatorSetIdProto: 'domain string 1, version int64 2',
  GraphProto:
    'node NodeProto* 1, name string 2, initializer TensorProto* 5, input ValueInfoProto* 11, output ValueInfoProto* 12',
  NodeProto:
    'input string* 1, output string* 2, name string 3, op_type string 4, attribute AttributeProto* 5, domain string 7',
  AttributeProto: 'name string 1, f float 2, i int64 3, s bytes 4, ints int64* 8, type int32 20',
  TensorProto:
    'dims int64* 1, data_type int32 2, name string 8, raw_data bytes 9, external_data StringStringEntryProto* 13, data_location int32 14',
  StringStringEntryProto: 'key string 1, value string 2',
  ValueInfoProto: 'name string 1, type TypeProto 2',
  TypeProto: 'tensor_type TensorTypeProto 1',
  TensorTypeProto: 'elem_type int32 1, shape TensorShapeProto 2',
  TensorShapeProto: 'dim Dimension* 1',
  Dimension: 'dim_value int64 1, dim_param string 2',
};
const FORMAT = messageTypes(MESSAGES);

/** Numbers of the element types (TensorProto.DataType). */
export const ELEMENT_TYPES = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const;

export type Attribute = number | string | readonly number[] | { readonly float: number };
export type Attributes = Readonly<Record<string, Attribute>>;

/** Kinds of attributes (AttributeProto.AttributeType). */
const KINDS = { FLOAT: 1, INT: 2, STRING: 3, INTS: 7 } as const;

/** The wire type of messages and bytes. */
const LENGTH_DELIMITED = 2;

/** A message in the file format, from its fields by their names. */
export function encodeMessage(type: keyof typeof MESSAGES, fields: Readonly<Record<string, unknown>>): Uint8Array {
  return FORMAT.lookupType(type).encode(fields).finish();
}

/** What stands before a field of this number that is a message or bytes, of so many bytes. */
export function fieldPrefix(number: number, byteLength: number): Uint8Array {
  return protobuf.Writer.create()
    .uint32((number << 3) | LENGTH_DELIMITED)
    .uint32(byteLength)
    .finish();
}

/** The messages of a node's attributes. */
export function attributeMessages(attributes: Attributes): object[] {
  return Object.entries(attributes).map(([name, value]) => ({ name, ...fieldsOfAttribute(value) }));
}

function fieldsOfAttribute(value: Attribute): object {
  if (typeof value === 'number') return { i: value, type: KINDS.INT };
  if (typeof value === 'string') return { s: new TextEncoder().encode(value), type: KINDS.STRING };
  if ('float' in value) return { f: value.float, type: KINDS.FLOAT };
  return { ints: value, type: KINDS.INTS };
}
