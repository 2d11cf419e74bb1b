/**
 * Luma by ITU-R BT.601 in studio swing: Y = 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in 0..1, so 16 is black and 235
 * white; MATLAB's rgb2ycbcr, on whose Y the published PSNR of super-resolution are taken. (JPEG has the same weights without
 * the swing: Y in 0..255.)
 */
export const LUMA = [65.481, 128.553, 24.966] as const;
/** Y of black. */
export const BLACK = 16;
/** Y of white less that of black: what a change of grey, as a share of the whole, adds to Y. */
export const SWING = 219;

/**
 * Y of every pixel, not rounded, in the units of 8 bits whatever the depth.
 * @param pixels [..., channels] with channels 1 (grey), 2 (grey, alpha), 3 (red, green, blue) or 4 (and alpha)
 * @param most the value of white: 255 or 65535
 */
export function lumaOf(pixels: ArrayLike<number>, channels: number, most = 255): Float32Array {
  const out = new Float32Array(pixels.length / channels);
  const [r, g, b] = LUMA.map((w) => w / most);
  const grey = SWING / most;
  for (let n = 0, i = 0; n < out.length; n++, i += channels)
    out[n] = BLACK + (channels < 3 ? grey * pixels[i] : r * pixels[i] + g * pixels[i + 1] + b * pixels[i + 2]);
  return out;
}
