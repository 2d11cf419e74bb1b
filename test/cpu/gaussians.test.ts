// Initial values: those of Box-Muller in JavaScript, bit for bit, and with the moments of normals.
import { createHash } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import { initNormals } from "../../lib/bayes/posterior.ts";
import { Store } from "../../lib/graph/store.ts";
import { withTrace } from "../../lib/graph/trace.ts";
import { loadAddon } from "../../lib/native/addon.ts";
import { fillGaussians, type GaussianOptions, gaussians } from "../../lib/native/gaussians.ts";
import { philox, STREAM_INIT, seedKey, streamWord, uniform01 } from "../../lib/util/philox.ts";
import { testDevice } from "../device.ts";

/** The same normals, by the engine's own logarithm, sine and cosine. */
function reference(count: number, o: GaussianOptions): Float32Array {
  const { mean = 0, scale = 1, row = 0, step = 0, sample = 0, seed, stream } = o;
  const out = new Float32Array(count);
  for (let at = 0; at < count; at += 2) {
    const words = philox([at >>> 2, row, step, streamWord(stream, sample)], seedKey(seed));
    const [u, v] = at % 4 === 0 ? words : [words[2], words[3]];
    const radius = Math.sqrt(-2 * Math.log(uniform01(u)));
    const angle = 2 * Math.PI * uniform01(v);
    out[at] = mean + scale * (radius * Math.cos(angle));
    if (at + 1 < count) out[at + 1] = mean + scale * (radius * Math.sin(angle));
  }
  return out;
}

const { setThreads, threads } = loadAddon();
const configured = threads();
afterAll(() => setThreads(configured));

describe("initial values", () => {
  it("are those of Box-Muller in JavaScript, on 1, 2 and 3 threads", () => {
    const places: GaussianOptions[] = [
      { seed: 5, stream: STREAM_INIT, row: 77, mean: -5, scale: 0.1 },
      { seed: 2 ** 53 - 1, stream: 7, row: 2 ** 32 - 1, step: 9, sample: 3 },
    ];
    for (const [i, count] of [0, 1, 2, 3, 5, 511, 513, 1026, 100_003].entries())
      for (const place of places) {
        setThreads((i % 3) + 1);
        expect(fillGaussians(new Float32Array(count), place)).toEqual(reference(count, place));
      }
  });

  it("also where an angle is next to a quarter turn, within 5 and within 600 units of 2^-32", () => {
    const next = [75370425, 142575970, 443701997, 523518995, 524487625, 849022225, 1042489250];
    const near = [1987188, 2147022, 2620936, 3822752, 4639792, 15208168, 16417446];
    for (const row of [...next, ...near]) {
      const place = { seed: 5, stream: STREAM_INIT, row };
      expect(fillGaussians(new Float32Array(2), place), `row ${row}`).toEqual(reference(2, place));
    }
  });

  it("have these bits as doubles, whatever the engine", () => {
    const hash = createHash("sha256");
    for (const row of [1, 142575970, 443701997, 4639792]) hash.update(gaussians(20_001, 5, STREAM_INIT, { row }));
    expect(hash.digest("hex")).toBe("25d64f5343a5d82f7c68caf14dae926a740b95083202ab91ed06eb30233b3c56");
  });

  it("are a parameter's by its name alone", () => {
    const row = [..."a/mu"].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 16777619) >>> 0, 2166136261);
    const store = new Store(testDevice());
    const { value } = withTrace({ store, seed: 5 }, () => initNormals("a/mu", 1001, 0.3, -5));
    expect(value).toEqual(reference(1001, { seed: 5, stream: STREAM_INIT, row, mean: -5, scale: 0.3 }));
    store.close();
  });

  it("are refused what is no array of floats", () => {
    const { fillGaussians } = loadAddon();
    const words = new Uint32Array(5);
    expect(() => fillGaussians(new Int32Array(4) as never, 0, 1, words)).toThrow(/an array of floats/);
    expect(() => fillGaussians([] as never, 0, 1, words)).toThrow(/a typed array/);
    expect(() => fillGaussians(new Float32Array(4), 0, 1, new Uint32Array(4))).toThrow(/five words/);
    expect(() => fillGaussians(new Float32Array(4), 0, 1, new Float32Array(5) as never)).toThrow(/Uint32Array/);
  });
});

describe("a run of normals", () => {
  it("has the moments of N(0, 1) and no correlation between neighbours", () => {
    const n = 200_000;
    const x = gaussians(n, 3, 65535);
    let m1 = 0;
    let m2 = 0;
    let m4 = 0;
    let lag = 0;
    for (let i = 0; i < n; i++) {
      m1 += x[i] / n;
      m2 += x[i] ** 2 / n;
      m4 += x[i] ** 4 / n;
      lag += (x[i] * x[(i + 1) % n]) / n;
    }
    expect(Math.abs(m1)).toBeLessThan(4 / Math.sqrt(n)); // 4 standard errors each
    expect(Math.abs(m2 - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(m4 - 3)).toBeLessThan(4 * Math.sqrt(96 / n));
    expect(Math.abs(lag)).toBeLessThan(4 / Math.sqrt(n));
  });

  it("is a function of its place: a shorter run is a prefix, and another place is another run", () => {
    expect([...gaussians(7, 1, 2)]).toEqual([...gaussians(10, 1, 2).subarray(0, 7)]);
    const runs = [{}, { row: 1 }, { step: 1 }, { sample: 1 }].map((place) => gaussians(1, 1, 2, place)[0]);
    runs.push(gaussians(1, 2, 2)[0], gaussians(1, 1, 3)[0], gaussians(1, 2 ** 32 + 1, 2)[0]);
    expect(new Set(runs).size).toBe(runs.length);
  });
});
