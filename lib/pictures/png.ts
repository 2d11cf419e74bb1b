/**
 * A PNG file written row by row: what is larger than memory needs no room but that of a strip (PNG specification, 3rd edition:
 * 8 or 16 bits, filter Paeth, one zlib stream in many IDAT chunks). `lib/report/png.ts` encodes small pictures at once.
 */
import { once } from "node:events";
import { createDeflate, type Deflate } from "node:zlib";
import { chunk, SIGNATURE } from "../report/png.ts";
import { AtomicFile } from "../util/atomic.ts";

/** By channels: grey, grey and alpha, red green blue, and alpha. */
const COLOUR = [0, 4, 2, 6];

export class PngFile {
  readonly #file: AtomicFile;
  readonly #deflate: Deflate;
  /** Of one row, in bytes, and of one pixel. */
  readonly #stride: number;
  readonly #step: number;
  #before: Buffer;
  #failed: Error | undefined;

  /** @param depth bits of a value: 8 for rows of a Uint8Array, 16 for those of a Uint16Array */
  constructor(path: string, height: number, width: number, channels: number, depth: 8 | 16) {
    this.#step = (channels * depth) / 8;
    this.#stride = width * this.#step;
    this.#before = Buffer.alloc(this.#stride);
    const header = Buffer.alloc(13); // the last three bytes: deflate, adaptive filtering, no interlace
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header[8] = depth;
    header[9] = COLOUR[channels - 1];
    this.#file = new AtomicFile(path);
    this.#file.write(SIGNATURE);
    this.#file.write(chunk("IHDR", header));
    this.#deflate = createDeflate({ chunkSize: 1 << 18 });
    this.#deflate.on("data", (bytes: Buffer) => this.#write(chunk("IDAT", bytes)));
  }

  #write(bytes: Uint8Array): void {
    try {
      if (!this.#failed) this.#file.write(bytes);
    } catch (error) {
      this.#failed = error as Error;
    }
  }

  /** Adds whole rows. @throws BayesError where they cannot be written */
  async add(rows: Uint8Array | Uint16Array): Promise<void> {
    const bytes = Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
    const raw = rows instanceof Uint16Array ? Buffer.from(bytes).swap16() : bytes;
    for (let at = 0; at < raw.length; at += this.#stride) {
      const row = raw.subarray(at, at + this.#stride);
      const more = this.#deflate.write(this.#filtered(row));
      this.#before = Buffer.from(row);
      if (!more) await once(this.#deflate, "drain");
      if (this.#failed) throw this.#failed;
    }
  }

  /** All rows are there. */
  async finish(): Promise<void> {
    this.#deflate.end();
    await once(this.#deflate, "end");
    this.#write(chunk("IEND", Buffer.alloc(0)));
    if (this.#failed) throw this.#failed;
    this.#file.finish();
  }

  /** Gives it up, if it is not finished; the path is as it was. */
  discard(): void {
    this.#deflate.destroy();
    this.#file.discard();
  }

  /** Filter 4: each byte less what left, above and above left let expect. */
  #filtered(row: Buffer): Buffer {
    const [before, step] = [this.#before, this.#step];
    const out = Buffer.allocUnsafe(this.#stride + 1);
    out[0] = 4;
    for (let i = 0; i < row.length; i++) {
      const left = i < step ? 0 : row[i - step];
      const above = before[i];
      const corner = i < step ? 0 : before[i - step];
      const p = left + above - corner;
      const a = Math.abs(p - left);
      const b = Math.abs(p - above);
      const c = Math.abs(p - corner);
      out[i + 1] = row[i] - (a <= b && a <= c ? left : b <= c ? above : corner);
    }
    return out;
  }
}
