/** One image in whatever form a program has it, as the pixels that a model was trained on. */
import { fileURLToPath } from "node:url";
import { types } from "node:util";
import { orAborted } from "../util/abort.ts";
import { asArray } from "../util/arrays.ts";
import { BayesError, shorten, show } from "../util/errors.ts";
import { type ImageShape, imageSize } from "./dataset.ts";
import { type Decoder, isBad, MAX_PIXELS } from "./decode.ts";
import { refusal } from "./format.ts";
import { checkPixels, type Preprocess } from "./prepare.ts";

/**
 * Pixels, height x width x channels. Those of a canvas (4 channels of bytes, red green blue alpha) may have any size and are
 * treated as an image file's; others are taken as they are, and have the model's shape.
 */
export interface RawImage {
  readonly pixels: Uint8Array | Uint8ClampedArray | Float32Array;
  readonly shape: ImageShape;
}

/** A Blob or File, of Node.js or of a browser. */
export interface BlobLike {
  readonly size: number;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/**
 * An image: the path or file: URL of a file, the bytes of one (also as Blob, or as a stream of bytes, such as a request's body),
 * or raw pixels. Which format bytes have is told by their content.
 */
export type ImageInput = string | URL | Uint8Array | ArrayBuffer | BlobLike | AsyncIterable<Uint8Array> | RawImage;

/** An input whose kind is known: bytes and pixels are copied, so the caller may use the arrays again at once. */
export type Taken =
  | { readonly wrong: unknown }
  | { readonly file: string | Uint8Array }
  | { readonly later: () => Promise<Uint8Array> }
  | { readonly raw: RawImage };

/** Encoded bytes that a stream or a blob may have: more than any image within the decoder's limit on pixels needs. */
const MAX_ENCODED = MAX_PIXELS;

const bad = (message: string, cause?: unknown): BayesError =>
  new BayesError(message, { code: "ERR_BAYES_DATA", cause });
const tagOf = (value: unknown): string => Object.prototype.toString.call(value);

/** Looks at an input and copies it. What is wrong with it {@link pixelsFor} says, and whether it can be decoded. */
export function takeInput(where: string, input: unknown): Taken {
  try {
    return kindOf(where, input);
  } catch (wrong) {
    return { wrong };
  }
}

function kindOf(where: string, input: unknown): Taken {
  if (tagOf(input) === "[object URL]" || (typeof input === "string" && /^file:/i.test(input)))
    return { file: pathOf(where, input as URL | string) };
  if (typeof input === "string" && /^(https?|data|blob):/i.test(input))
    throw bad(
      `[${where}] expected the path of an image file, received a URL: fetch it, and pass its bytes or its body`,
    );
  if (typeof input === "string" && input !== "" && !input.includes("\0")) return { file: input };
  const bytes = types.isAnyArrayBuffer(input) ? new Uint8Array(input) : asArray(input, "Uint8Array");
  if (bytes) return { file: new Uint8Array(bytes) };
  if (typeof input === "object" && input !== null) {
    const blob = input as BlobLike;
    if (/^\[object (Blob|File)\]$/.test(tagOf(input)) && blob.size <= MAX_ENCODED)
      return { later: async () => new Uint8Array(await blob.arrayBuffer()) };
    if (Symbol.asyncIterator in input) return { later: () => collected(input as AsyncIterable<unknown>) };
    if ("pixels" in input) return { raw: rawOf(where, input as RawImage) };
  }
  throw bad(
    `[${where}] expected an image (a path, the bytes of an image file, a Blob, a stream of bytes, or { pixels, shape }), received ${show(input)}`,
  );
}

function pathOf(where: string, url: URL | string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw bad(`[${where}] expected a file: URL, received ${show(String(url))}`, cause);
  }
}

function rawOf(where: string, { pixels, shape }: RawImage): RawImage {
  const values = asArray(pixels, "Uint8Array", "Float32Array");
  if (!values) throw bad(`[${where}] expected pixels as a Uint8Array or Float32Array, received ${show(pixels)}`);
  if (!Array.isArray(shape) || shape.length !== 3 || !shape.every((d) => Number.isInteger(d) && d > 0))
    throw bad(`[${where}] expected the pixels' shape as [height, width, channels], received ${show(shape)}`);
  const size = imageSize(shape as unknown as ImageShape);
  if (values.length !== size)
    throw bad(`[${where}] expected ${size} values for pixels of ${shape.join("x")}, received ${values.length}`);
  if (values instanceof Uint8Array) return { pixels: new Uint8Array(values), shape };
  const wrong = values.findIndex((v) => !Number.isFinite(v));
  if (wrong >= 0) throw bad(`[${where}] expected finite pixels, received ${values[wrong]} at ${wrong}`);
  return { pixels: new Float32Array(values), shape };
}

async function collected(stream: AsyncIterable<unknown>): Promise<Uint8Array> {
  let all = new Uint8Array(1 << 16); // one piece: a chunk may be of a byte, and a list of them takes far more than they
  let size = 0;
  try {
    for await (const chunk of stream) {
      const bytes = asArray(chunk, "Uint8Array");
      if (!bytes) throw bad(`[image stream] expected chunks of bytes, received ${show(chunk)}`);
      size += bytes.length;
      if (size > MAX_ENCODED) throw bad(`[image stream] expected at most ${MAX_ENCODED} bytes, received more`);
      if (size > all.length) {
        const larger = new Uint8Array(Math.max(size, 2 * all.length));
        larger.set(all);
        all = larger;
      }
      all.set(bytes, size - bytes.length);
    }
  } catch (error) {
    if (error instanceof BayesError) throw error;
    throw bad(
      `[image stream] expected a whole image, received one that broke off: ${(error as Error)?.message}`,
      error,
    );
  }
  return all.subarray(0, size);
}

/** What a model wants of an image. */
export interface Wanted {
  readonly shape: ImageShape;
  readonly preprocess: Preprocess | undefined;
  /** Of image files: asked for when there is one. */
  readonly decoder: () => Promise<Decoder>;
}

/**
 * The pixels of an image as the readers of training images would have given them.
 * @throws BayesError of code ERR_BAYES_DATA for an image that cannot be decoded or does not fit the model; the signal's reason
 */
export async function pixelsFor(
  where: string,
  taken: Taken,
  { shape, preprocess, decoder }: Wanted,
  signal?: AbortSignal,
): Promise<Uint8Array | Float32Array> {
  signal?.throwIfAborted();
  if ("wrong" in taken) throw taken.wrong;
  if ("raw" in taken && taken.raw.shape.join() === shape.join()) return checked(where, taken.raw.pixels, preprocess);
  if ("raw" in taken && !(taken.raw.shape[2] === 4 && taken.raw.pixels instanceof Uint8Array))
    throw bad(
      `[${where}] expected raw pixels of ${shape.join("x")}, as the model's (those of a canvas, 4 channels of bytes, may have any size), received ${taken.raw.shape.join("x")}`,
    );
  if (preprocess?.pixels === "f32")
    throw bad(
      `[${where}] expected { pixels, shape } with pixels as a Float32Array, as the model was trained on, received an image file or canvas`,
    );
  if (shape[2] !== 1 && shape[2] !== 3)
    throw bad(
      `[${where}] expected { pixels, shape } for a model of ${shape[2]} channels, received an image file or canvas`,
    );
  return orAborted(decoded(where, taken, await decoder(), shape, signal), signal);
}

async function decoded(
  where: string,
  taken: Exclude<Taken, { wrong: unknown }>,
  decoder: Decoder,
  shape: ImageShape,
  signal?: AbortSignal,
) {
  if ("raw" in taken) {
    const [height, width] = taken.raw.shape;
    if (height * width > MAX_PIXELS) throw bad(`[${where}] expected at most ${MAX_PIXELS} pixels, received more`);
    return decoder.canvas(taken.raw.pixels as Uint8Array, height, width, shape);
  }
  const file = "later" in taken ? await taken.later() : taken.file;
  signal?.throwIfAborted();
  const head = await decoder.head(file);
  if (isBad(head)) throw unreadable(file, head.reason, shape);
  signal?.throwIfAborted();
  const pixels = await decoder.pixels(file, head, shape);
  if (isBad(pixels)) throw unreadable(file, pixels.reason, shape);
  return pixels;
}

function unreadable(file: string | Uint8Array, reason: string, shape: ImageShape): BayesError {
  const name = typeof file === "string" ? shorten(file, 160) : "image bytes"; // it may be anything, base64 too
  const raw = typeof file !== "string" && file.length === imageSize(shape) && refusal(file) !== undefined;
  const hint = raw ? `; raw pixels are passed as { pixels, shape: [${shape.join(", ")}] }` : "";
  return bad(`[${name}] expected an image that can be decoded, received another: ${reason}${hint}`);
}

function checked(where: string, pixels: RawImage["pixels"], preprocess: Preprocess | undefined) {
  try {
    checkPixels(where, pixels as Uint8Array, preprocess);
  } catch (error) {
    throw bad((error as Error).message, error);
  }
  return pixels as Uint8Array | Float32Array;
}
