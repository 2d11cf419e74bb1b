// An older CPU loads the code for newer ones too, and must never meet an instruction it does not know. An object compiled
// for AVX-512 that defines a weak symbol (an std:: template, an inline function) outside of its own namespace could lend
// that copy to the whole addon; and its static initialisers, which register the ops, run wherever the addon is loaded.
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
      const dir = join(objects, `ops_${isa}/native/unity`);
      if (!existsSync(dir)) continue; // not x64
      const files = readdirSync(dir).filter((f) => f.endsWith(".o"));
      expect(files.length).toBe(2);
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

it.skipIf(!has || !existsSync(join(objects, "ops_avx512/native/unity")))(
  "bfloat16 instructions are in the tiles for CPUs that have them, and nowhere else (needs build/ on Linux, x64)",
  () => {
    const dir = join(objects, "ops_avx512/native/unity");
    const files = readdirSync(dir).filter((f) => f.endsWith(".o"));
    const code = execFileSync("objdump", ["-dC", "--no-show-raw-insn", ...files.map((f) => join(dir, f))], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    const [inside, outside] = [new Set<string>(), new Set<string>()];
    let where = "";
    for (const line of code.split("\n")) {
      where = /^[0-9a-f]+ <(.*)>:$/.exec(line)?.[1] ?? where;
      if (/\t(vdpbf16ps|vcvtne)/.test(line))
        (/::tile<\d+, \d, (true|false), 2>/.test(where) ? inside : outside).add(where);
    }
    expect(inside.size).toBe(56); // 16 heights of one vector and 12 of two, both ways of reading
    expect([...outside]).toEqual([]);
  },
);

it.skipIf(!has)("what runs when the addon is loaded uses no wide vectors (needs build/ on Linux)", () => {
  for (const isa of ["avx2", "avx512"]) {
    const dir = join(objects, `ops_${isa}/native/unity`);
    if (!existsSync(dir)) continue; // not x64
    const files = readdirSync(dir).filter((f) => f.endsWith(".o"));
    const args = ["-d", "--no-show-raw-insn", "--section=.text.startup", ...files.map((f) => join(dir, f))];
    const code = execFileSync("objdump", args, { encoding: "utf8", maxBuffer: 1 << 26 });
    expect(code.match(/^[0-9a-f]+ <_GLOBAL__sub_I_/gm)?.length).toBe(2);
    expect(code.split("\n").filter((line) => /^\s*[0-9a-f]+:\s+v|[xyz]mm|%k[0-7]/.test(line))).toEqual([]);
  }
});
