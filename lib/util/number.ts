/** The number that a text writes in decimals, as people do it; undefined for anything else ("", "0x10", "NaN", "Infinity"). */
export function parseNumber(text: string): number | undefined {
  const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number + 0 : undefined; // not -0
}
