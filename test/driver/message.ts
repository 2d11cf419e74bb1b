// What a request to a backend is in bytes; wire.h reads them.
import type { Data, NativeProgram, NativeRef } from "../../lib/native/addon.ts";

export const bytesOf = (d: Data): Uint8Array => new Uint8Array(d.buffer, d.byteOffset, d.byteLength);

/** One request: numbers, strings and bytes in order. */
export class Message {
  readonly parts: Uint8Array[] = [];
  int(v: number | bigint): this {
    this.parts.push(new Uint8Array(BigInt64Array.of(BigInt(v)).buffer));
    return this;
  }
  bytes(b: Uint8Array): this {
    this.int(b.length).parts.push(b.slice());
    return this;
  }
  text(s: string): this {
    return this.bytes(new TextEncoder().encode(s));
  }
  ints(list: readonly number[]): this {
    this.int(list.length);
    for (const v of list) this.int(v);
    return this;
  }
  real(v: number): this {
    this.parts.push(new Uint8Array(Float64Array.of(v).buffer));
    return this;
  }
  doubles(list: readonly number[]): this {
    this.int(list.length).parts.push(new Uint8Array(Float64Array.from(list).buffer));
    return this;
  }
  refs(list: readonly NativeRef[]): this {
    this.int(list.length);
    for (const r of list) this.int(r.dtype).int(r.space).int(r.index).int(r.offset).ints(r.shape);
    return this;
  }
  program(p: NativeProgram): this {
    this.int(p.steps.length);
    for (const s of p.steps) {
      this.text(s.op)
        .int(s.commits ? 1 : 0)
        .refs(s.inputs)
        .refs(s.outputs)
        .int(Object.keys(s.attrs).length);
      for (const [name, values] of Object.entries(s.attrs)) this.text(name).doubles(values);
    }
    return this.ints(p.feedBytes)
      .ints(p.resultBytes)
      .int(p.arenaBytes)
      .int(p.frozenSteps ?? 0);
  }
}
