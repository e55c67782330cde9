/** An object with the same names, whose values are made of the given ones. */
export function mapValues<In, Out>(entries: Readonly<Record<string, In>>, make: (value: In, name: string) => Out) {
  return Object.fromEntries(Object.entries(entries).map(([name, value]) => [name, make(value, name)]));
}
