import protobuf from 'protobufjs/light.js';

/**
 * Types of messages of protocol buffers, which know how to write and read them.
 * @param messages fields of each message: name, type and number. A type with * may be there several times; one with ? is
 * written where it is 0 too, as what belongs to a `oneof` has to be.
 */
export function messageTypes(messages: Readonly<Record<string, string>>): protobuf.Root {
  const nested = Object.entries(messages).map(([name, fields]) => [name, { fields: fieldsOf(fields) }]);
  return protobuf.Root.fromJSON({ nested: Object.fromEntries(nested) });
}

function fieldsOf(message: string): Record<string, protobuf.IField> {
  const fields = message.split(', ').map((field) => {
    const [name, type, id] = field.split(' ') as [string, string, string];
    const rule = type.endsWith('*') && { rule: 'repeated' };
    const presence = type.endsWith('?') && { options: { features: { field_presence: 'EXPLICIT' } } };
    return [name, { id: Number(id), type: type.replace(/[*?]$/, ''), ...rule, ...presence }];
  });
  return Object.fromEntries(fields);
}
