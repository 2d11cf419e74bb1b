/** Just enough of a protobuf and ONNX reader to look into what lib/onnx writes; written apart from it, for tests only. */

export interface ReadTensor {
  name: string;
  dims: number[];
  dataType: number;
  raw: Uint8Array;
}
export interface ReadValue {
  name: string;
  elemType: number;
  dims: (number | string)[];
  doc: string;
}
export interface ReadNode {
  name: string;
  opType: string;
  inputs: string[];
  outputs: string[];
  attrs: Record<string, number | bigint | string | number[] | bigint[] | ReadTensor>;
}
export interface ReadModel {
  irVersion: number;
  producer: string;
  producerVersion: string;
  doc: string;
  opsets: Record<string, number>;
  metadata: Record<string, string>;
  graph: { name: string; nodes: ReadNode[]; initializers: ReadTensor[]; inputs: ReadValue[]; outputs: ReadValue[] };
}

type Field = { number: number; value: bigint | Uint8Array };

/** The fields of one message in file order; fixed32 comes as its four bytes. Throws on anything malformed. */
export function fieldsOf(bytes: Uint8Array): Field[] {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (at >= bytes.length || shift > 63n) throw new Error("bad varint");
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new Error("field beyond the end");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const fields: Field[] = [];
  while (at < bytes.length) {
    const tag = Number(varint());
    const wireType = tag & 7;
    if (wireType !== 0 && wireType !== 2 && wireType !== 5) throw new Error(`wire type ${wireType}`);
    const value = wireType === 0 ? varint() : take(wireType === 5 ? 4 : Number(varint()));
    fields.push({ number: tag >> 3, value });
  }
  return fields;
}

class Reader {
  readonly #fields: Field[];
  constructor(bytes: Uint8Array) {
    this.#fields = fieldsOf(bytes);
  }
  all(number: number): (bigint | Uint8Array)[] {
    return this.#fields.filter((field) => field.number === number).map((field) => field.value);
  }
  ints(number: number): bigint[] {
    return this.all(number).map((value) => BigInt.asIntN(64, value as bigint));
  }
  floats(number: number): number[] {
    return this.all(number).map((value) => floatOf(value as Uint8Array));
  }
  strings(number: number): string[] {
    return this.all(number).map((value) => new TextDecoder().decode(value as Uint8Array));
  }
  messages(number: number): Reader[] {
    return this.all(number).map((value) => new Reader(value as Uint8Array));
  }
  int = (number: number): number => Number(this.ints(number)[0] ?? 0n);
  text = (number: number): string => this.strings(number)[0] ?? "";
}

function floatOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true);
}

function tensor(reader: Reader): ReadTensor {
  return {
    name: reader.text(8),
    dims: reader.ints(1).map(Number),
    dataType: reader.int(2),
    raw: (reader.all(9)[0] as Uint8Array | undefined) ?? new Uint8Array(0),
  };
}

function attribute(reader: Reader): ReadNode["attrs"][string] {
  const type = reader.int(20);
  if (type === 1) return reader.floats(2)[0];
  if (type === 2) return reader.ints(3)[0];
  if (type === 3) return reader.text(4);
  if (type === 4) return tensor(reader.messages(5)[0]);
  if (type === 6) return reader.floats(7);
  if (type === 7) return reader.ints(8);
  throw new Error(`attribute type ${type}`);
}

function node(reader: Reader): ReadNode {
  return {
    name: reader.text(3),
    opType: reader.text(4),
    inputs: reader.strings(1),
    outputs: reader.strings(2),
    attrs: Object.fromEntries(reader.messages(5).map((attr) => [attr.text(1), attribute(attr)])),
  };
}

function value(reader: Reader): ReadValue {
  const type = reader.messages(2)[0].messages(1)[0];
  const dims = type.messages(2)[0].messages(1);
  return {
    name: reader.text(1),
    elemType: type.int(1),
    dims: dims.map((dim) => (dim.all(2).length > 0 ? dim.text(2) : dim.int(1))),
    doc: reader.text(3),
  };
}

/** The parts of a ModelProto that we write. */
export function readModel(bytes: Uint8Array): ReadModel {
  const model = new Reader(bytes);
  const graph = model.messages(7)[0];
  return {
    irVersion: model.int(1),
    producer: model.text(2),
    producerVersion: model.text(3),
    doc: model.text(6),
    opsets: Object.fromEntries(model.messages(8).map((opset) => [opset.text(1), opset.int(2)])),
    metadata: Object.fromEntries(model.messages(14).map((entry) => [entry.text(1), entry.text(2)])),
    graph: {
      name: graph.text(2),
      nodes: graph.messages(1).map(node),
      initializers: graph.messages(5).map(tensor),
      inputs: graph.messages(11).map(value),
      outputs: graph.messages(12).map(value),
    },
  };
}
