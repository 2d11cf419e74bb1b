import type { Data, NativePlan, NativeStore } from "../lib/native/addon.ts";
import type { Device } from "../lib/native/device.ts";

/** A device that stores and computes nothing: everything up to the flat program is testable without the addon. */
export function nullDevice(): Device {
  class Store implements NativeStore {
    readonly buffers: (Uint8Array | undefined)[] = [];
    readonly busy = false;
    alloc(bytes: number): number {
      return this.buffers.push(new Uint8Array(bytes)) - 1;
    }
    free(index: number): void {
      this.buffers[index] = undefined;
    }
    read(index: number, offset: number, into: Data): void {
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(
        this.buffers[index]!.subarray(offset, offset + into.byteLength),
      );
    }
    write(index: number, offset: number, from: Data): void {
      this.buffers[index]!.set(new Uint8Array(from.buffer, from.byteOffset, from.byteLength), offset);
    }
    close(): void {}
  }
  class Plan implements NativePlan {
    readonly workspaceBytes = 0;
    readonly algorithms: readonly string[] = [];
    run(): void {}
    async runAsync(): Promise<void> {}
    close(): void {}
  }
  return {
    kind: "null",
    name: "null",
    precisions: ["fp32", "bf16"],
    joins: { activation: true, pooling: true },
    alignment: 64,
    launchRows: 512,
    addon: {
      Library: class {
        readonly count = 0;
        probe(): never {
          throw new Error("none");
        }
      },
      Store,
      Plan,
      fillGaussians() {},
      isa: "null",
      setThreads() {},
      threads: () => 1,
      externalMemory: () => 0,
    },
  };
}
