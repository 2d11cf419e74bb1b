// The products of the CUDA device, compiled as C++ against the emulator: every layer op against float64 in all precisions and
// schedules (test/cuda/products.cpp), and kernels with one thing wrong, each of which has to be found (test/cuda/kernels.cpp).
import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const here = process.platform === "linux" && process.arch === "x64";
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-cuda-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

const flags = ["-std=c++17", "-ffp-contract=off", "-DEMULATED", "-w"];
const emulator = ["emu", "memory", "runtime"];
/** Compiles a program of test/cuda in `folder`, a checkout or a copy of one. */
async function build(folder: string, name: string): Promise<string> {
  const [object, program] = [join(folder, `${name}.o`), join(folder, name)];
  await run(
    "g++",
    [
      ...flags,
      name === "kernels" ? "-O0" : "-O1",
      "-fsanitize=thread",
      "-I.",
      "-c",
      `test/cuda/${name}.cpp`,
      "-o",
      object,
    ],
    {
      cwd: folder,
    },
  );
  await run("g++", [object, ...emulator.map((e) => join(tmp, `${e}.o`)), "-o", program]);
  return program;
}
function copy(name: string): string {
  const folder = join(tmp, name);
  mkdirSync(join(folder, "test"), { recursive: true });
  cpSync(join(root, "cuda"), join(folder, "cuda"), { recursive: true });
  cpSync(join(root, "test/cuda"), join(folder, "test/cuda"), { recursive: true });
  symlinkSync(join(root, "test/emulator"), join(folder, "test/emulator"));
  symlinkSync(join(root, "native"), join(folder, "native"));
  return folder;
}

/** What is wrong; where, and what is written instead; the check that finds it, and words of what it says. */
type Mutation = readonly [name: string, file: string, from: string, to: string, found: RegExp];
const mutations: readonly Mutation[] = [
  [
    "no barrier before a stage is read",
    "block.h",
    "blockBarrier();  // this stage",
    "// this stage",
    /^forward: .*nothing has written/m,
  ],
  ["copies are not waited for", "block.h", "copyWait<STAGES - 2>();", "", /^forward: .*cp\.async/m],
  [
    "one group of copies too few is waited for",
    "block.h",
    "copyWait<STAGES - 2>",
    "copyWait<STAGES - 1>",
    /^data: .*cp\.async/m,
  ],
  [
    "the next stage is one too far",
    "block.h",
    "next = next + 1 == STAGES ? 0",
    "next = next + 1 == STAGES ? 1",
    /^forward: .*cp\.async/m,
  ],
  [
    "a stage beyond the last one",
    "block.h",
    "now + 1 == STAGES ? 0",
    "now + 1 > STAGES ? 0",
    /^forward: .*beyond the shared memory/m,
  ],
  [
    "no barrier before the sums replace the stages",
    "block.h",
    "  copyWait<0>();\n  blockBarrier();",
    "  copyWait<0>();",
    /^forward: .*race/m,
  ],
  ["mean and variance exchanged", "block.h", "from, to, v[0], v[1])", "from, to, v[1], v[0])", /^weights: .*differs/m],
  [
    "channels that do not exist are written",
    "block.h",
    "to = width - column < 4 ? width - column : 4",
    "to = 4",
    /^forward: /m,
  ],
  ["a group's first quad is that of the layer", "block.h", "first = channel / 4", "first = 0", /^data: .*race/m],
  [
    "shared memory of a stage too few",
    "product.h",
    "Form::STAGES * stage(tiles)",
    "(Form::STAGES - 1) * stage(tiles)",
    /^data: .*beyond/m,
  ],
  [
    "no barrier behind the table of places",
    "product.h",
    "  }\n  blockBarrier();\n\n  // Rows of BK",
    "  }\n\n  // Rows of BK",
    /^forward: .*nothing has written/m,
  ],
  [
    "no barrier before the sums are read",
    "product.h",
    "BM * Memory::LD);\n  blockBarrier();",
    "BM * Memory::LD);",
    /^forward: .*nothing has written/m,
  ],
  [
    "weights beyond the last tap",
    "product.h",
    "const bool valid = d < s.depth && ",
    "const bool valid = ",
    /^forward: .*read at/m,
  ],
  [
    "weights beyond the last channel",
    "product.h",
    "d < s.depth && column < s.columns",
    "d < s.depth",
    /^data: .*read at/m,
  ],
  ["weights of the first group only", "product.h", "long at = block.group * ", "long at = 0 * ", /^forward: y/m],
  ["one tap's channels for all", "product.h", "d - tap * s.gather.perGroup", "d", /^data: /m],
  ["the wrong half of a fragment", "multiply.h", "element(t + 4 * h)", "element(t + 2 * h)", /^weights: dw/m],
  ["the wrong rows of a fragment", "multiply.h", "g + 8 * (e & 1)", "g + 4 * (e & 1)", /^forward: y/m],
  ["the wrong rows of the results", "multiply.h", "g + 8 * (e / 2)", "g + 4 * (e / 2)", /^data: /m],
  ["the second route is not squared", "multiply.h", "word<K == SQUARE>", "word<false>", /^weights: dsigma2/m],
  ["the activation's slope is lost", "operands.h", "    put(tile, a);\n", "", /^data: dx/m],
  ["r in place of y", "operands.h", "(o.kind == PAIR ? 2 : 1) * FLOATS", "1 * FLOATS", /^weights: /m],
  ["x B, not 2 x B", "epilogue.h", "(v[e] + v[e]) * B[e]", "v[e] * B[e]", /^data: dx/m],
  ["one counter for all pixels", "epilogue.h", "pixel * quads + quad", "quad", /^forward: y/m],
  ["the same noise for both samples", "epilogue.h", "rng[3] + sample", "rng[3]", /^forward: y/m],
  ["the last part is left out", "epilogue.h", "part < p.parts", "part < p.parts - 1", /^weights: /m],
  ["a pixel between two strides", "geometry.h", "q * static_cast<int>(every.d) == p ? q : -1", "q", /^data: dx/m],
  ["a row below the image", "geometry.h", "y >= 0 && y < v.in", "y >= 0 && y <= v.in", /^forward: /m],
  [
    "pixels beyond the last one",
    "weights.h",
    "pixel < s.pixels && column < s.columns",
    "column < s.columns",
    /^weights: .*read at/m,
  ],
  ["a share of the biases is left out", "weights.h", "p < PARTS;", "p < PARTS - 1;", /^weights: db/m],
  [
    "no barrier behind the biases' sums",
    "weights.h",
    "  blockBarrier();\n  finish<Form, ROUTES>(stages + BM",
    "  finish<Form, ROUTES>(stages + BM",
    /^weights: .*race/m,
  ],
];
/** Every other one, unless all are asked for: each is a compilation. */
const tried = mutations.filter((_, i) => process.env.MUTATIONS === "all" || i % 2 === 0);

describe.skipIf(!here)("the CUDA device's products on the emulator", () => {
  beforeAll(async () => {
    for (const e of emulator)
      await run("g++", [...flags, "-O2", "-I.", "-c", `test/emulator/${e}.cpp`, "-o", join(tmp, `${e}.o`)], {
        cwd: root,
      });
  }, 300_000);

  it("layers match float64 in every precision, with the same bits in every schedule", {
    timeout: 900_000,
  }, async () => {
    const program = await build(copy("layers"), "products");
    for (const precision of ["fp32", "tf32", "bf16"]) {
      const said = ["forward", "reverse", "random:5"].flatMap((order) =>
        ["late", "early"].map((copies) =>
          execFileSync(program, [precision], {
            encoding: "utf8",
            env: { ...process.env, BAYESCNN_EMULATED_ORDER: order, BAYESCNN_EMULATED_COPIES: copies },
          }),
        ),
      );
      expect(said[0]).toMatch(/^\d{3} results compared, 0 failed/);
      expect(new Set(said).size, `${precision}: one result in six schedules`).toBe(1);
    }
  });

  it("the kernels themselves pass", { timeout: 300_000 }, async () => {
    execFileSync(await build(copy("whole"), "kernels"));
  });

  describe.concurrent("with one thing wrong", () => {
    it.each(tried)("%s", { timeout: 300_000 }, async (name, file, from, to, found) => {
      const folder = copy(name.replaceAll(" ", "-"));
      const path = join(folder, "cuda/conv", file);
      const source = readFileSync(path, "utf8");
      expect(source.split(from).length, `'${from}' once in ${file}`).toBe(2);
      writeFileSync(path, source.replace(from, to));
      const program = await build(folder, "kernels");
      const said = await run(program, [], { timeout: 60_000 }).then(
        ({ stdout }) => `not found ${stdout}`,
        (e: { stdout: string }) => e.stdout,
      );
      expect(said).toMatch(found);
      rmSync(folder, { recursive: true });
    });
  });
});
