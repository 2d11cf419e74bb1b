// An addon whose kernels run in another process (driver.cpp), perhaps under an emulator: the same Store and Plan, over two
// named pipes. test/setup.ts puts it in the place of the real one when BAYESCNN_DRIVER holds the driver's command line.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  Addon,
  Data,
  NativeFeed,
  NativeLibrary,
  NativePlan,
  NativeProgram,
  NativeStore,
} from "../../lib/native/addon.ts";
import { bytesOf, Message } from "./message.ts";

/** Starts the driver; it ends with this process, when the pipe to it closes. */
export function driverAddon(command: readonly string[]): Addon {
  const folder = mkdtempSync(join(tmpdir(), "bayescnn-driver-"));
  const [there, back] = [join(folder, "there"), join(folder, "back")];
  execFileSync("mkfifo", [there, back]);
  const child = spawn(command[0], [...command.slice(1), there, back], { stdio: ["ignore", "inherit", "inherit"] });
  child.unref();
  const out = openSync(there, "w"); // waits for the driver
  const into = openSync(back, "r");
  rmSync(folder, { recursive: true });

  function readBytes(n: number): Uint8Array {
    const b = new Uint8Array(n);
    for (let at = 0; at < n; ) {
      const got = readSync(into, b, at, n - at, null);
      if (got === 0) throw new Error("the driver has ended");
      at += got;
    }
    return b;
  }
  const readBig = (): bigint => new BigInt64Array(readBytes(8).buffer)[0];
  const readInt = (): number => Number(readBig());
  const readText = (): string => new TextDecoder().decode(readBytes(readInt()));
  /** Sends a request and returns the error of the answer; the rest of it is still to be read. */
  function request(what: string, build: (m: Message) => Message): string {
    const m = new Message().text(what);
    const all = Buffer.concat(build(m).parts);
    for (let at = 0; at < all.length; ) at += writeSync(out, all, at);
    return readText();
  }
  const check = (error: string): void => {
    if (error) throw new Error(error);
  };

  /** Of the CPU alone. */
  class Library implements NativeLibrary {
    readonly count = 1;
    probe() {
      return { name: `cpu-${isa}`, joins: 3, precisions: 5, alignment: 64, launchRows: 512 };
    }
  }
  class Store implements NativeStore {
    readonly busy = false;
    readonly handle: bigint;
    constructor() {
      const error = request("store", (m) => m);
      this.handle = readBig();
      check(error);
    }
    alloc(bytes: number): number {
      const error = request("alloc", (m) => m.int(this.handle).int(bytes));
      const index = readInt();
      check(error);
      return index;
    }
    free(index: number): void {
      check(request("free", (m) => m.int(this.handle).int(index)));
    }
    read(index: number, offset: number, data: Data): void {
      const error = request("read", (m) => m.int(this.handle).int(index).int(offset).bytes(bytesOf(data)));
      bytesOf(data).set(readBytes(readInt()));
      check(error);
    }
    write(index: number, offset: number, data: Data): void {
      check(request("write", (m) => m.int(this.handle).int(index).int(offset).bytes(bytesOf(data))));
    }
    close(): void {
      check(request("closeStore", (m) => m.int(this.handle)));
    }
  }

  class Plan implements NativePlan {
    readonly handle: bigint;
    readonly workspaceBytes: number;
    readonly algorithms: readonly string[];
    constructor(store: NativeStore, program: NativeProgram) {
      const error = request("plan", (m) => m.int((store as Store).handle).program(program));
      this.handle = readBig();
      this.workspaceBytes = readInt();
      check(error);
      this.algorithms = program.steps.map(() => readText());
    }
    run(steps: number, feeds: readonly NativeFeed[], results: readonly Data[]): void {
      const error = request("run", (m) => {
        m.int(this.handle).int(steps).int(feeds.length);
        for (const f of feeds) m.int(f.stride).bytes(bytesOf(f.data));
        return m;
      });
      const fault = { runStep: readInt(), programStep: readInt() };
      for (const r of results) bytesOf(r).set(readBytes(readInt()));
      if (error) throw Object.assign(new Error(error), fault);
    }
    async runAsync(steps: number, feeds: readonly NativeFeed[], results: readonly Data[]): Promise<void> {
      this.run(steps, feeds, results);
    }
    close(): void {
      check(request("closePlan", (m) => m.int(this.handle)));
    }
  }

  check(request("isa", (m) => m));
  const isa = readText();
  let threads = 1;
  return {
    Library,
    Store,
    Plan,
    fillGaussians() {}, // the host's, whatever the device
    isa,
    setThreads(n) {
      threads = n;
      check(request("setThreads", (m) => m.int(n)));
    },
    threads: () => threads,
    externalMemory: () => 0,
  };
}
