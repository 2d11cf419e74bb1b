/** Scales and ticks: whole numbers where only those are meant, powers of ten only where there are some. */
import type { Axis } from "../likelihoods/shared/blocks.ts";
import { visible } from "../util/text.ts";

export interface Scale {
  readonly type: "linear" | "log";
  readonly domain: readonly [number, number];
  readonly nice: false;
  readonly zero?: false;
}

/** The scale that an axis of these values has. */
export function scaleOf(axis: Axis, values: readonly number[]): Scale {
  let [least, most] = axis.domain ?? [Infinity, -Infinity];
  if (!axis.domain)
    for (const v of values) {
      if (!Number.isFinite(v)) continue;
      least = Math.min(least, v);
      most = Math.max(most, v);
    }
  if (axis.log && least > 0 && most / least > 10)
    return { type: "log", domain: axis.domain ?? [least / 1.1, most * 1.1], nice: false };
  const linear = (from: number, to: number): Scale => ({
    type: "linear",
    domain: [from, to],
    nice: false,
    zero: false,
  });
  if (axis.domain) return linear(least, most);
  if (!(least <= most)) return linear(0, 1);
  if (least === most) {
    const room = axis.integer ? 0.5 : Math.abs(least) * 0.1 || 1;
    return axis.percent
      ? linear(Math.max(0, least - 0.1), Math.min(1, least + 0.1))
      : linear(least - room, least + room);
  }
  if (axis.integer) return linear(least, most);
  const room = 0.06 * (most - least);
  const [low, high] = [least >= 0 && least - room < 0 ? 0 : least - room, most + room];
  return axis.percent ? linear(Math.max(0, low), Math.min(1, high)) : linear(low, high);
}

/** Title, ticks and their format. */
export function axisOf(axis: Axis, { type, domain: [from, to] }: Scale): object {
  const title = visible(axis.title);
  if (type === "log") {
    const values = logTicks(from, to);
    const powers = values.every((v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9);
    return {
      title,
      values,
      labelOverlap: false,
      labelFlush: false,
      labelExpr: powers
        ? `'10' + ['${POWERS.join("','")}'][round(log(datum.value) / LN10) + ${SMALLEST}]`
        : "format(datum.value, '~g')",
    };
  }
  if (axis.integer) return { title, values: wholeTicks(from, to), format: to >= 10_000 ? "~s" : "d" };
  if (axis.percent) return { title, format: to - from < 0.04 ? ".1%" : ".0%", tickCount: 5 };
  const size = Math.max(Math.abs(from), Math.abs(to));
  return { title, format: size >= 10_000 ? "~s" : ".6~g", tickCount: 5 };
}

const SMALLEST = 12;
const DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const POWERS = Array.from({ length: 2 * SMALLEST + 1 }, (_, i) => {
  const power = i - SMALLEST;
  return (power < 0 ? "⁻" : "") + [...String(Math.abs(power))].map((d) => DIGITS[Number(d)]).join("");
});

/** At most seven whole numbers, evenly spaced, within the range. */
function wholeTicks(from: number, to: number): number[] {
  const [first, last] = [Math.ceil(from), Math.floor(to)];
  const steps = Array.from({ length: 16 }, (_, d) => [1, 2, 5].map((s) => s * 10 ** d)).flat();
  const step = steps.find((s) => (last - first) / s <= 6) ?? last - first;
  const start = first <= 1 && step > 1 ? 0 : Math.ceil(first / step) * step;
  const ticks = Array.from({ length: 8 }, (_, i) => start + i * step).filter((v) => v >= first && v <= last);
  // a run begins with its first epoch, which the round numbers miss
  return ticks.includes(first) || step === 1 ? ticks : [first, ...ticks.filter((v) => v - first > step / 2)];
}

/** Round numbers within the range: the wider it is, the fewer to each power of ten. */
function logTicks(least: number, most: number): number[] {
  const decades = Array.from({ length: 2 * SMALLEST + 1 }, (_, i) => i - SMALLEST);
  const within = (steps: readonly number[]) =>
    decades
      .flatMap((d) => steps.map((s) => Number(`${s}e${d}`)))
      .filter((v) => v >= least * 0.999 && v <= most * 1.001);
  const powers = within([1]);
  if (powers.length > 8) return powers.filter((_, i) => i % Math.ceil(powers.length / 6) === 0);
  return powers.length >= 3 ? powers : within([1, 2, 5]);
}
