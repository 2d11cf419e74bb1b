/** A twelfth of the training images (5,000 of 60,000), but up to 1,000 where that is no more than a sixth. */
export function validationSize(images: number): number {
  return Math.min(Math.max(1000, Math.round(images / 12)), Math.floor(images / 6));
}
