/** The smallest useful PNG encoder: 8-bit grey or RGB, no filter, one IDAT chunk (PNG specification, 3rd edition). */
import { crc32, deflateSync } from "node:zlib";
import { checkInt, fail } from "../util/errors.ts";

export const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const GREY = 0;
const RGB = 2;

/**
 * Encodes one image.
 * @param pixels [height, width, channels], 0 to 255
 * @param channels 1 (grey) or 3 (RGB)
 * @returns the bytes of a PNG file
 */
export function encodePng(pixels: Uint8Array, height: number, width: number, channels: number): Uint8Array {
  checkInt("encodePng", "height", height, 1, 2 ** 31 - 1);
  checkInt("encodePng", "width", width, 1, 2 ** 31 - 1);
  if (channels !== 1 && channels !== 3) fail("encodePng", "1 or 3 channels", channels);
  const stride = width * channels;
  if (pixels.length !== height * stride) fail("encodePng", `${height} * ${width} * ${channels} bytes`, pixels);

  const header = Buffer.alloc(13); // the last three bytes: deflate, adaptive filtering, no interlace
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8; // bits per channel
  header[9] = channels === 1 ? GREY : RGB;

  const scanlines = Buffer.alloc(height * (stride + 1)); // each begins with its filter type, 0 = none
  for (let y = 0; y < height; y++) scanlines.set(pixels.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(scanlines, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The same as a data URI, to put straight into an img element. */
export function pngDataUri(pixels: Uint8Array, height: number, width: number, channels: number): string {
  return `data:image/png;base64,${Buffer.from(encodePng(pixels, height, width, channels)).toString("base64")}`;
}

/** Length, type, data, checksum of type and data. */
export function chunk(type: string, data: Buffer): Buffer {
  const out = Buffer.alloc(data.length + 12);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, "latin1");
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, data.length + 8)), data.length + 8);
  return out;
}
