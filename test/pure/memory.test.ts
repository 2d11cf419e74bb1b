import fc from "fast-check";
import { expect, it } from "vitest";
import { type Claim, planMemory } from "../../lib/graph/memory.ts";

const claim = fc.record({ bytes: fc.integer({ min: 1, max: 5000 }), a: fc.nat(40), b: fc.nat(40) });
const claims = fc
  .array(claim, { maxLength: 40 })
  .map((list): Claim[] => list.map(({ bytes, a, b }) => ({ bytes, from: Math.min(a, b), to: Math.max(a, b) })));

it("no two buffers that are live at the same time overlap, and all lie inside the arena, aligned", () => {
  fc.assert(
    fc.property(claims, (list) => {
      const { offsets, bytes } = planMemory(list, 64);
      list.forEach((a, i) => {
        expect(offsets[i] % 64).toBe(0);
        expect(offsets[i] + a.bytes).toBeLessThanOrEqual(bytes);
        for (let j = 0; j < i; j++) {
          const b = list[j];
          const together = a.from <= b.to && b.from <= a.to;
          const apart = offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i];
          expect(!together || apart).toBe(true);
        }
      });
    }),
  );
});

it("the arena is never larger than the sum, and never smaller than what is live at once", () => {
  fc.assert(
    fc.property(claims, (list) => {
      const { bytes } = planMemory(list, 64);
      const rounded = (c: Claim) => Math.ceil(c.bytes / 64) * 64;
      const sum = list.reduce((s, c) => s + rounded(c), 0);
      let live = 0;
      for (let t = 0; t <= 40; t++)
        live = Math.max(
          live,
          list.filter((c) => c.from <= t && t <= c.to).reduce((s, c) => s + c.bytes, 0),
        );
      expect(bytes).toBeLessThanOrEqual(sum);
      expect(bytes).toBeGreaterThanOrEqual(live);
    }),
  );
});
