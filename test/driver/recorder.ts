// An addon that writes down what it is asked, with the answers, as a pack that cuda/check/replay.cpp replays on another
// device. The CPU computes meanwhile; where a better answer is known (a float64 reference), it is written instead.
import { closeSync, openSync, renameSync, writeSync } from "node:fs";
import type { Addon, Data, NativeFeed, NativePlan, NativeProgram, NativeStore } from "../../lib/native/addon.ts";
import { bytesOf, Message } from "./message.ts";

/** How the next runs are written down. */
export interface Expectation {
  /** Largest |difference| in units of (1 + |expected|), for floats; whole numbers have to be the same. */
  readonly tolerance?: number;
  /** Of a result by its number; default: what the CPU gave. */
  readonly want?: readonly (ArrayLike<number> | undefined)[];
  /** Runs are not compared but timed, so many times, and not run here; what is written to the store may be any numbers of its range. */
  readonly times?: number;
  /** How many of the results are compared, from the first on; default: all. */
  readonly compared?: number;
  /** A row of more bytes is left out. */
  readonly most?: number;
}

export interface Pack {
  readonly addon: Addon;
  /** The next row, and what its runs have to give. */
  row(name: string, expectation: Expectation): void;
  /** Writes the end and gives the file its name; returns how many rows it has, and how many were left out. */
  close(): { readonly rows: number; readonly leftOut: number };
}

const MADE_UP = 4096; // bytes from which on a pack of timings holds a range instead of the numbers

export function record(path: string, real: Addon): Pack {
  const temporary = `${path}.part`;
  const file = openSync(temporary, "w");
  let expectation: Expectation = {};
  let row: Uint8Array[] = [];
  const counts = { rows: 0, leftOut: 0 };
  const write = (m: Message) => void row.push(...m.parts);
  const flush = () => {
    const bytes = row.reduce((sum, part) => sum + part.length, 0);
    counts[bytes <= (expectation.most ?? bytes) ? "rows" : "leftOut"]++;
    if (bytes <= (expectation.most ?? bytes)) for (const part of row) writeSync(file, part);
    row = [];
  };
  write(new Message().text("bayescnn pack 2"));
  const handles = new Map<object, number>();
  const handleOf = (o: object): number => {
    if (!handles.has(o)) handles.set(o, handles.size);
    return handles.get(o)!;
  };
  const request = (what: string, of: object) => new Message().text(what).int(handleOf(of));

  class Store implements NativeStore {
    readonly native = new real.Store();
    constructor() {
      write(request("store", this));
    }
    get busy(): boolean {
      return this.native.busy;
    }
    alloc(bytes: number): number {
      const index = this.native.alloc(bytes);
      write(request("alloc", this).int(bytes).int(index));
      return index;
    }
    free(index: number): void {
      this.native.free(index);
      write(request("free", this).int(index));
    }
    read(index: number, offset: number, into: Data): void {
      this.native.read(index, offset, into);
      const tolerance = into instanceof Float32Array ? (expectation.tolerance ?? 0) : 0;
      if (!expectation.times) write(request("read", this).int(index).int(offset).real(tolerance).bytes(bytesOf(into)));
    }
    write(index: number, offset: number, from: Data): void {
      this.native.write(index, offset, from);
      if (!expectation.times || from.byteLength < MADE_UP || !(from instanceof Float32Array))
        return void write(request("write", this).int(index).int(offset).bytes(bytesOf(from)));
      const [low, high] = from.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [from[0], from[0]]);
      write(request("fill", this).int(index).int(offset).int(from.length).real(low).real(high).int(index));
    }
    close(): void {
      this.native.close();
    }
  }

  class Plan implements NativePlan {
    readonly native: NativePlan | undefined;
    readonly workspaceBytes: number;
    readonly algorithms: readonly string[];
    constructor(store: NativeStore, program: NativeProgram) {
      if (!expectation.times) this.native = new real.Plan((store as Store).native, program);
      this.workspaceBytes = this.native?.workspaceBytes ?? 0;
      this.algorithms = this.native?.algorithms ?? [];
      write(request("plan", this).int(handleOf(store)).program(program));
    }
    run(steps: number, feeds: readonly NativeFeed[], results: readonly Data[]): void {
      const { tolerance = 0, want = [], times, compared = results.length } = expectation;
      const m = request(times ? "time" : "run", this)
        .int(steps)
        .int(feeds.length);
      for (const f of feeds) m.int(f.stride).bytes(bytesOf(f.data));
      if (!this.native || times) return void write(m.int(times ?? 1));
      try {
        this.native.run(steps, feeds, results);
      } catch (error) {
        const { message, runStep = -1, programStep = -1 } = error as Error & { runStep?: number; programStep?: number };
        write(m.text(message).int(runStep).int(programStep).int(0));
        throw error;
      }
      m.text("").int(-1).int(-1).int(compared);
      results.slice(0, compared).forEach((r, i) => {
        const answer = want[i] && r instanceof Float32Array ? Float32Array.from(want[i]) : r;
        m.int(i)
          .real(r instanceof Float32Array ? tolerance : 0)
          .bytes(bytesOf(answer));
      });
      write(m);
    }
    async runAsync(steps: number, feeds: readonly NativeFeed[], results: readonly Data[]): Promise<void> {
      this.run(steps, feeds, results);
    }
    close(): void {
      this.native?.close();
      write(request("closePlan", this));
    }
  }

  return {
    addon: Object.assign(Object.create(real) as Addon, { Store, Plan }),
    row(name, next) {
      flush();
      expectation = next;
      write(new Message().text("row").text(name));
    },
    close() {
      flush();
      writeSync(file, Buffer.concat(new Message().text("end").parts));
      closeSync(file);
      renameSync(temporary, path);
      return { rows: counts.rows - 1, leftOut: counts.leftOut }; // before the first row there is the head
    },
  };
}
