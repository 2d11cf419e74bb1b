/** Text safe to put between tags or into a quoted attribute. */
export function escapeHtml(text: unknown): string {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** A fraction as a percentage. A value that is not quite one is never rounded up to it. */
export function percent(fraction: number, digits = 2): string {
  const most = 100 - 10 ** -digits;
  if (fraction < 1 && 100 * fraction > most) return `>${most.toFixed(digits)} %`;
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** A few significant digits, with a power of ten where the number is tiny. */
export function figure(value: number, digits = 3): string {
  if (value === 0) return "0";
  return Math.abs(value) < 1e-4
    ? value.toExponential(1).replace("e-", "e−")
    : String(Number(value.toPrecision(digits)));
}

/** A whole number in groups of three. */
export function whole(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}
