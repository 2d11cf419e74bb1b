// An object compiled for AVX-512 that defines a weak symbol (an std:: template, an inline function) outside of its own
// namespace could lend that copy to the whole addon, and an older CPU would meet an illegal instruction.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const objects = join(import.meta.dirname, "../../build/Release/obj.target");
const has = existsSync(objects) && process.platform === "linux";

it.skipIf(!has)(
  "op objects define no weak symbols outside their instruction set's namespace (needs build/ on Linux)",
  () => {
    for (const isa of ["avx2", "avx512"]) {
      const dir = join(objects, `ops_${isa}/native/ops`);
      if (!existsSync(dir)) continue; // not x64
      const files = readdirSync(dir).filter((f) => f.endsWith(".o"));
      expect(files.length).toBeGreaterThan(10);
      const table = execFileSync("nm", ["-C", "--defined-only", ...files.map((f) => join(dir, f))], {
        encoding: "utf8",
        maxBuffer: 1 << 26,
      });
      const weak = table
        .split("\n")
        .filter((line) => / [WVu] /.test(line) && !line.includes(`bayes::${isa}::`) && !line.includes("DW.ref."));
      expect(weak).toEqual([]);
    }
  },
);
