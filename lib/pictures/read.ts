import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type Decoder, each, isBad, openDecoder, type Pixels } from "../data/decode.ts";
import { fileError } from "../util/atomic.ts";
import { BayesError, checkPath, fail, shorten } from "../util/errors.ts";
import { lumaOf } from "./luma.ts";

/**
 * Reads a picture in its own size: grey or colour, with its alpha channel, at 8 or 16 bits, turned as the camera asked (EXIF)
 * and with an ICC profile turned into sRGB; of an animation or a file of several pages the first.
 * @param picture the path of a PNG, JPEG, WebP, TIFF, GIF or AVIF file, or its bytes
 * @throws BayesError where there is no such file, or no picture in it
 */
export async function readPicture(picture: string | Uint8Array): Promise<Pixels> {
  if (!(picture instanceof Uint8Array)) checkPath("readPicture", picture, "picture");
  return readBy(await openDecoder(), picture);
}

async function readBy(reader: Decoder, picture: string | Uint8Array): Promise<Pixels> {
  const head = await reader.head(picture);
  const read = isBad(head) ? head : await reader.whole(picture, head);
  if (isBad(read))
    throw new BayesError(
      `[${typeof picture === "string" ? shorten(picture, 160) : "picture"}] expected a picture that can be decoded, received another: ${read.reason}`,
      { code: typeof picture === "string" ? "ERR_BAYES_FILE" : "ERR_BAYES_DATA" },
    );
  return read;
}

/** Luma of a picture, to train on or to compare with. */
export interface LumaPicture {
  readonly name: string;
  /** [height, width], 0..255 */
  readonly luma: Float32Array;
  readonly height: number;
  readonly width: number;
}

const PICTURE = /\.(png|jpe?g|webp|tiff?|gif|avif)$/i;

/**
 * The luma of all pictures of a folder (not of those in folders in it), by name, rounded to whole numbers as MATLAB's
 * rgb2ycbcr rounds that of 8-bit pictures. What is transparent counts as what its colours say.
 * @throws BayesError where the folder cannot be read or holds no picture, or one cannot be decoded
 */
export async function loadLuma(folder: string): Promise<LumaPicture[]> {
  checkPath("loadLuma", folder, "folder of pictures");
  const names = picturesIn(folder);
  if (names.length === 0)
    fail("loadLuma", "a folder with pictures (png, jpg, webp, tiff, gif, avif)", folder, "ERR_BAYES_FILE");
  const decoder = await openDecoder();
  return each(names, async (name) => {
    const { values, height, width, channels } = await readBy(decoder, join(folder, name));
    const most = values instanceof Uint16Array ? 65535 : 255;
    const luma = lumaOf(values, channels, most).map(Math.round);
    return { name: basename(name), luma, height, width };
  });
}

function picturesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => PICTURE.test(name) && !name.startsWith("."));
    return names.filter((name) => statSync(join(folder, name)).isFile()).sort();
  } catch (error) {
    throw fileError(error, "read", folder);
  }
}
