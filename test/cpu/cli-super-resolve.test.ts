// `bayescnn super-resolve` on pictures of every kind, and what it says of what is none.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { saveModel } from "../../lib/checkpoints/open.ts";
import { createModel } from "../../lib/models/create.ts";
import { superResolutionModel } from "../../lib/pictures/model.ts";
import { superResolve } from "../../lib/pictures/picture.ts";
import { readPicture } from "../../lib/pictures/read.ts";
import { cli, temporaryFolder } from "../cli-capture.ts";
import { sharp } from "../images.ts";
import { random } from "../ops/harness.ts";

const tmp = temporaryFolder();
const at = (name: string) => join(tmp, name);
const model = at("x3.safetensors");
const run = (...args: string[]) => cli("super-resolve", ...args, "--model", model, "--threads", "1");

async function made(name: string, height: number, width: number, channels: 1 | 2 | 3 | 4, deep = false) {
  const next = random(height + channels);
  const size = height * width * channels;
  const values = deep
    ? Uint16Array.from({ length: size }, () => 65536 * next())
    : Uint8Array.from({ length: size }, () => 256 * next());
  const image = sharp!(
    values as Uint8Array,
    { raw: { height, width, channels, ...(deep ? { depth: "ushort" } : {}) } } as never,
  );
  const space = channels < 3 ? (deep ? "grey16" : "b-w") : deep ? "rgb16" : "srgb";
  await image.toColourspace(space).png().toFile(at(name));
  return values;
}

beforeAll(() => {
  using x3 = superResolutionModel({ patch: 8 });
  saveModel(x3, model);
});

describe.skipIf(sharp === undefined)("super-resolve", () => {
  it.each([
    ["grey", 7, 11, 1, false],
    ["grey-alpha", 6, 5, 2, false],
    ["colour", 9, 4, 3, false],
    ["colour-alpha", 5, 6, 4, false],
    ["grey-16", 4, 5, 1, true],
    ["colour-16", 5, 4, 3, true],
    ["colour-alpha-16", 3, 4, 4, true],
    ["one-pixel", 1, 1, 3, false],
    ["six-pixels", 2, 3, 3, false],
  ] as const)(
    "%s: %ix%i pixels of %i channels become nine times as many of the same kind",
    async (name, h, w, c, deep) => {
      const values = await made(`${name}.png`, h, w, c, deep);
      const got = await run(
        at(`${name}.png`),
        at(`${name}-x3.png`),
        "--json",
        "--sigma",
        at(`${name}-s.png`),
        "--samples",
        "2",
      );
      expect(got.stderr).toBe("");
      expect(got.code).toBe(0);
      expect(got.events).toMatchObject([{ event: "done", width: 3 * w, height: 3 * h, scale: 3 }]);
      const large = await readPicture(at(`${name}-x3.png`));
      expect([large.height, large.width, large.channels]).toEqual([3 * h, 3 * w, c]);
      expect(large.values instanceof Uint16Array).toBe(deep);
      using x3 = superResolutionModel({ patch: 8 });
      const want = await superResolve(x3, { values, height: h, width: w, channels: c }, { samples: 2 });
      expect([...large.values]).toEqual([...want.values]);
      const map = await readPicture(at(`${name}-s.png`));
      expect(map.channels).toBe(1);
      expect([...map.values]).toEqual([...want.sigma!].map((s) => Math.min(255, Math.round(8 * s))));
    },
  );

  it("turns a photo upright, lays out what it did, and takes pictures of other formats", async () => {
    await made("lying.png", 4, 6, 3);
    await sharp!(at("lying.png")).withMetadata({ orientation: 6 }).jpeg().toFile(at("lying.jpg"));
    const got = await run(at("lying.jpg"), at("up.png"));
    expect(got.stdout).toContain("12x18, 3 times larger");
    await sharp!(at("lying.png")).webp({ lossless: true }).toFile(at("lying.webp"));
    expect((await run(at("lying.webp"), at("up.png"), "--scale", "3")).code).toBe(0);
    await sharp!(at("lying.png")).gif().toFile(at("lying.gif"));
    expect((await run(at("lying.gif"), at("up.png"))).code).toBe(0);
  });

  it("gives the same picture in other tiles, and the same bytes every time", async () => {
    await made("again.png", 12, 12, 3);
    await run(at("again.png"), at("a.png"), "--sigma", at("as.png"));
    await run(at("again.png"), at("b.png"), "--sigma", at("bs.png"));
    expect(readFileSync(at("a.png"))).toEqual(readFileSync(at("b.png")));
    expect(readFileSync(at("as.png"))).toEqual(readFileSync(at("bs.png")));
    await run(at("again.png"), at("b.png"), "--sigma", at("bs.png"), "--seed", "2");
    expect(readFileSync(at("a.png"))).toEqual(readFileSync(at("b.png")));
    expect(readFileSync(at("as.png"))).not.toEqual(readFileSync(at("bs.png")));
  });

  it("says in one sentence what is wrong, and leaves nothing behind", async () => {
    await made("good.png", 3, 3, 3);
    writeFileSync(at("text.png"), "no picture");
    mkdirSync(at("folder.png"), { recursive: true });
    const before = readdirSync(tmp).sort();
    const cases: [string[], RegExp, number][] = [
      [
        [at("none.png"), at("o.png")],
        /none\.png\] expected a picture that can be decoded, received another: no such file/,
        1,
      ],
      [[at("text.png"), at("o.png")], /expected a picture that can be decoded/, 1],
      [[tmp, at("o.png")], /it is a directory/, 1],
      [[at("good.png"), at("good.png")], /expected out to be another file than in/, 1],
      [[at("good.png"), `${tmp}/./good.png`], /expected out to be another file than in/, 1],
      [[at("good.png"), at("o.jpg")], /expected out as a name that ends in \.png/, 2],
      [[at("good.png"), at("folder.png")], /a directory/, 1],
      [[at("good.png"), join(tmp, "nowhere", "o.png")], /no such file or directory/, 1],
      [[at("good.png"), at("o.png"), "--sigma", at("o.png")], /another file/, 1],
      [[at("good.png"), at("o.png"), "--scale", "2"], /a model for --scale 2, received one that enlarges 3 times/, 1],
      [[at("good.png"), at("o.png"), "--scale", "9"], /integer from 2 to 4/, 2],
      [[at("good.png")], /missing required argument/, 2],
    ];
    for (const [args, message, code] of cases) {
      const got = await run(...args);
      expect([args, got.stderr]).toEqual([args, expect.stringMatching(message)]);
      expect(got.stderr.trim().split("\n").length).toBe(code === 2 && got.stderr.includes("--help") ? 2 : 1);
      expect([args, got.code]).toEqual([args, code]);
    }
    expect(readdirSync(tmp).sort()).toEqual(before);
  });

  it("says what a model has to be", async () => {
    await made("good.png", 3, 3, 3);
    using digits = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
    saveModel(digits, at("digits.safetensors"));
    const other = await cli("super-resolve", at("good.png"), at("o.png"), "--model", at("digits.safetensors"));
    expect(other.stderr).toMatch(
      /expected a model for super-resolution \("espcn"\), received lenet5 for something else/,
    );
    const picture = await cli("super-resolve", at("good.png"), at("o.png"), "--model", at("good.png"));
    expect(picture.code).toBe(1);
    const none = await cli("super-resolve", at("good.png"), at("o.png"));
    expect(none.stderr).toMatch(/required option '--model/);
    expect(existsSync(at("o.png"))).toBe(false);
  });
});
