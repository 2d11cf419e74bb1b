/** Numbers as text for people. */

/** A fraction as a percentage. A value that is not quite one is never rounded up to it, and some never down to none. */
export function percent(fraction: number, digits = 2): string {
  const most = 100 - 10 ** -digits;
  if (fraction < 1 && 100 * fraction > most) return `>${most.toFixed(digits)} %`;
  if (fraction > 0 && 100 * fraction < 10 ** -digits) return `<${(10 ** -digits).toFixed(digits)} %`;
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** A few significant digits, with a power of ten where the number is tiny or huge. */
export function figure(value: number, digits = 3): string {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size < 1e-4 || size >= 1e7
      ? value.toExponential(1)
      : size >= 10 ** digits
        ? value.toFixed(0)
        : String(Number(value.toPrecision(digits)));
  return text.replace("e+", "e").replace(/-/g, "−");
}

/** A whole number in groups of three. */
export function whole(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** The text with a capital letter first. */
export const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
