// Every program in README.md, docs/ and the comments of lib/ is checked against the library's types and run; those of the
// guides, which take longer, in test/slow/guides.test.ts.
import { beforeAll, describe, expect, it } from "vitest";
import { build } from "../built.ts";
import { blocksOf, commentsOf, programs, read, sources } from "../docs-kit/blocks.ts";
import { isPlain, run, runnable, typeErrors } from "../docs-kit/run.ts";
import { runs } from "../docs-kit/runs.ts";

const all = programs();
const alive = all.filter((block) => block.notRun === undefined);
beforeAll(build);

const text = [
  "text",
  "<!-- setup: const a =",
  "  1; -->",
  "```ts",
  "const b: number = a;",
  "b.nothing();",
  "```",
  "<!-- not run: no such thing -->",
  "",
  "```js",
  "(",
  "```",
  "```mjs",
  'import { threads } from "bayescnn";',
  'if (threads() > 0) throw new Error("said so");',
  "```",
].join("\n");
const [first, second, third] = blocksOf("x.md", text);

describe("programs in the documents", () => {
  it("have the types that the library has, and a wrong one would be seen", () => {
    const errors = typeErrors([first, ...alive]); // at once: the compiler reads the library only once
    expect(errors.shift()).toEqual([expect.stringMatching(/^x\.md:6: .*nothing/)]);
    expect(errors.flat()).toEqual([]);
  });

  it("are fenced, also those of @example", () => {
    const examples = sources().flatMap((file) =>
      commentsOf(read(file))
        .split(/^@example/m)
        .slice(1),
    );
    expect(examples.length).toBeGreaterThan(0);
    expect(examples.filter((text) => !/^```\w/m.test(text.split(/^@\w/m)[0]))).toEqual([]);
  });

  runs(all.filter(({ place }) => !place.startsWith("docs/guides/")));
});

describe("the reader of documents", () => {
  it("finds code, setup and reasons", () => {
    expect(first).toEqual({
      place: "x.md:5",
      language: "ts",
      code: "const b: number = a;\nb.nothing();",
      setup: "const a =\n  1;",
      notRun: undefined,
    });
    expect(second).toMatchObject({ place: "x.md:11", notRun: "no such thing", setup: "" });
    expect(third).toMatchObject({ language: "mjs", setup: "", notRun: undefined });
    const comment = "/**\n * Does.\n * @example\n * ```ts\n * go();\n * ```\n */\nfunction go() {}\n/** `x` */";
    expect(blocksOf("x.ts", commentsOf(comment))).toMatchObject([{ place: "x.ts:5", language: "ts", code: "go();" }]);
  });

  it("says where a program is wrong", async () => {
    expect(await run(third)).toMatch(/^x\.md:14: exit code 1.*said so/s);
  });

  it("knows TypeScript from JavaScript, and trains for one epoch", () => {
    const typed = [
      "let a: number;",
      "using a = b();",
      "f(a!);",
      "f(a as B);",
      'import type { A } from "b";',
      "type A = 1;",
      "f<A>(1);",
    ];
    for (const code of typed) expect(isPlain(code), code).toBe(false);
    expect(isPlain("const f = async (a) => (a ? b : [...c]); await f({ d, e: 1 });")).toBe(true);
    expect(runnable({ ...first, code: "using a: B = c({ epochs: 20 });" })).toMatch(/epochs: 1 /);
    expect(runnable({ ...first, setup: "", code: "c({ epochs: 20 });" })).toBe("\nc({ epochs: 1 });\n");
  });
});
