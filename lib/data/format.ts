/** Kinds of image files, told by their first bytes rather than by their names. */

/** The formats that are read. */
export const FORMATS = "png, jpeg, webp, gif, tiff, avif";

/** How many bytes {@link formatOf} looks at. */
export const HEAD_BYTES = 64;

/** Names under which images are expected: such a file that cannot be decoded is a fault, not another kind of file. */
const IMAGE_NAME = /\.(png|jpe?g|jpe|jfif|webp|gif|tiff?|avif)$/i;

const isRead = (format: string | undefined) => format !== undefined && FORMATS.split(", ").includes(format);

/** Beginnings of files, as text of one byte a character; others than those read have a name in capitals. */
const SIGNATURES: readonly (readonly [format: string, begins: (text: string) => boolean])[] = [
  ["png", (text) => text.startsWith("\x89PNG\r\n\x1a\n")],
  ["jpeg", (text) => text.startsWith("\xff\xd8\xff")],
  ["webp", (text) => text.startsWith("RIFF") && text.startsWith("WEBP", 8)],
  ["gif", (text) => /^GIF8[79]a/.test(text)],
  ["tiff", (text) => ["II*\0", "MM\0*", "II+\0", "MM\0+"].some((start) => text.startsWith(start))],
  ["avif", (text) => text.startsWith("ftyp", 4) && brands(text).some((brand) => brand === "avif" || brand === "avis")],
  [
    "HEIC",
    (text) => text.startsWith("ftyp", 4) && brands(text).some((brand) => /^(hei[cxms]|hev[cx]|mif1)$/.test(brand)),
  ],
  ["BMP", (text) => text.startsWith("BM") && text.startsWith("\0\0\0\0", 6)],
  ["PSD", (text) => text.startsWith("8BPS")],
  ["PDF", (text) => text.startsWith("%PDF")],
  ["SVG", (text) => /^\s*(<\?xml|<svg)/.test(text)],
  ["HTML", (text) => /^\s*<(!doctype|html)/i.test(text)],
];

/** What a file of the ISO base media format says it is: its major brand (at 8) and compatible ones (from 16). */
function brands(text: string): string[] {
  return [8, ...Array.from({ length: 12 }, (_, i) => 16 + 4 * i)].map((at) => text.slice(at, at + 4));
}

/** The format of a file from its first bytes; undefined if it is none we know. Capitals: not one that is read. */
export function formatOf(head: Uint8Array): string | undefined {
  const text = Buffer.from(head.subarray(0, HEAD_BYTES)).toString("latin1");
  return SIGNATURES.find(([, begins]) => begins(text))?.[0];
}

/** Why a file of these first bytes is no image that can be read; undefined if it may be one. */
export function refusal(head: Uint8Array): string | undefined {
  if (head.length === 0) return "it is empty";
  const format = formatOf(head);
  if (isRead(format)) return undefined;
  return format === undefined ? `it is none of ${FORMATS}` : `it is ${format}, not one of ${FORMATS}`;
}

/**
 * Whether a file belongs to the images of a folder: by its name, or else by its content. The raw files of cameras begin
 * as TIFF files do and hold a small preview, so TIFF by content alone is taken only without an extension.
 * @param head gives the first bytes, asked for when the name does not tell
 */
export function isImage(name: string, head: () => Uint8Array): "by name" | "by content" | undefined {
  if (IMAGE_NAME.test(name)) return "by name";
  const format = formatOf(head());
  return isRead(format) && (format !== "tiff" || !name.includes(".")) ? "by content" : undefined;
}
