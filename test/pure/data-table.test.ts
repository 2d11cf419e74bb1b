import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCsv } from "../../lib/data/csv.ts";
import { loadData } from "../../lib/data/locate.ts";
import { loadTable, type TableOptions } from "../../lib/data/table.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { imageFolder, sharp } from "../images.ts";

const rows = (text: string) => parseCsv(text, "t.csv").map(({ line, fields }) => [line, ...Object.values(fields)]);

describe("parseCsv", () => {
  it("reads quotes, commas and line breaks in quotes, CRLF, a byte order mark, and passes over empty lines", () => {
    const text = '\ufeffa,b\r\n1,2\r\n\r\n"x, y","say ""hi"""\r\n"two\nlines",\r\n\n5,6';
    expect(rows(text)).toEqual([
      [2, "1", "2"],
      [4, "x, y", 'say "hi"'],
      [5, "two\nlines", ""],
      [8, "5", "6"],
    ]);
    expect(rows("a\n1\n")).toEqual([[2, "1"]]);
    expect(rows('a\n""\n')).toEqual([[2, ""]]);
    expect(rows("a,b\n")).toEqual([]);
  });

  it("tells semicolons and tabs by the header", () => {
    expect(rows("a;b\n1,5;2")).toEqual([[2, "1,5", "2"]]);
    expect(rows("a\tb\n1,5\t2")).toEqual([[2, "1,5", "2"]]);
  });

  it.each([
    ["a,b\n1,2\n3", "[t.csv] expected 2 fields in line 3, received 1, without b"],
    ["a,b\n1,2,3", "[t.csv] expected 2 fields in line 2, received 3"],
    ['a,b\n1,"2', "in line 2, received a quote that is not closed"],
    ['a,b\n\n1,2"3', "quotes around whole fields, doubled within them, in line 3"],
    ['a,b\n"1"2,3', "in line 2"],
    ["a,a\n1,2", 'columns with a name of their own each, received "a"'],
    ["a,\n1,2", "columns with a name"],
    ["", "a table with a header, received"],
    ["\n\n", "a table with a header, received"],
  ])("refuses %j", (text, message) => {
    expect(() => rows(text)).toThrow(message);
    expect(() => rows(text)).toThrow(BayesError);
  });

  it("ends in time, whatever the size: fields in quotes, columns, empty lines", () => {
    expect(rows(`a,b\n"${'""'.repeat(2e6)}",1`)[0][1]).toHaveLength(2e6);
    expect(() => rows(`a,b\n1,"${"x\n".repeat(2e6)}`)).toThrow("a quote that is not closed");
    expect(() => rows(Array.from({ length: 1e6 }, (_, i) => i).join())).toThrow(
      /at most 16384 columns, received 1000000/,
    );
    expect(() => rows(`a,${"b".repeat(1e6)}\n1`)).toThrow(/received 1, without b/);
    expect(rows(`a\n${"\n".repeat(2e6)}1`)).toEqual([[2_000_002, "1"]]);
    expect(rows("a\rb\r\rc")).toEqual([
      [2, "b"],
      [4, "c"],
    ]);
  });

  it("has no columns but those of its header, whatever they are called", () => {
    const [{ fields }] = parseCsv("__proto__,constructor,toString\n1,2,3", "t");
    expect(Object.entries(fields)).toEqual([
      ["__proto__", "1"],
      ["constructor", "2"],
      ["toString", "3"],
    ]);
    expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
  });

  it("gives back what was written, whatever the fields hold", () => {
    const field = fc.string({ unit: fc.constantFrom("a", ",", '"', "\n", "\r", ";", "\t", " ", "é") });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(field, field, field), { minLength: 1 }),
        fc.constantFrom("\n", "\r\n"),
        (records, end) => {
          const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
          const text = ["h1,h2,h3", ...records.map((record) => record.map(quoted).join(","))].join(end);
          expect(parseCsv(text, "t").map(({ fields }) => Object.values(fields))).toEqual(records);
        },
      ),
    );
  });
});

const { dir, png, place } = imageFolder("table");
const table = (name: string, text: string) => {
  writeFileSync(place(name), text);
  return join(dir, name);
};

describe.skipIf(sharp === undefined)("loadTable", () => {
  const images = (async () => {
    for (let i = 0; i < 10; i++) await png(`img/${i}.png`, 2, 2, [i * 10, 0, 7]);
  })();
  const list = (count: number, rest: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => `img/${i}.png,${rest(i)}`).join("\n");

  it("reads classes by name, in the parts that are named", async () => {
    await images;
    const parts = ["train", "Train", "training", "test", "val", "train"];
    const file = table("classes.csv", `image,split,label\n${list(6, (i) => `${parts[i]},${i % 2 ? "dog" : "cat"}`)}`);
    const { train, valid, test } = await loadTable(file);
    expect(train).toMatchObject({
      name: "classes",
      count: 4,
      shape: [2, 2, 3],
      classes: ["cat", "dog"],
      targets: Int32Array.of(0, 1, 0, 1),
    });
    expect([train, valid!, test].map((part) => part.images[0])).toEqual([0, 40, 30]);
    expect([...valid!.targets, ...test.targets]).toEqual([0, 1]);
    expect(train.notes).toBeUndefined();
    expect(await loadData(file)).toEqual({ train, valid, test });
  });

  it("reads numbers, with the names of their columns, from JSON lines too", async () => {
    await images;
    const csv = table("numbers.csv", `image,age,weight\n${list(5, (i) => `${i}.5, -${i}e1`)}`);
    const json = table(
      "numbers.jsonl",
      Array.from({ length: 5 }, (_, i) =>
        JSON.stringify({ image: `img/${i}.png`, age: i + 0.5, weight: `-${i}e1` }),
      ).join("\r\n"),
    );
    const { train, test } = await loadTable(csv);
    expect([train.count, test.count, test.name]).toEqual([4, 1, "numbers (held-out 1/5)"]);
    expect(train).toMatchObject({ targetShape: [2], targetNames: ["age", "weight"] });
    for (let i = 0; i < 4; i++)
      expect([train.targets[2 * i], train.targets[2 * i + 1]]).toEqual([
        train.images[12 * i] / 10 + 0.5,
        0 - train.images[12 * i],
      ]);
    expect(await loadTable(json)).toEqual({ train, test });
    const one = await loadTable(csv, { targets: ["age"], size: [3, 4] });
    expect(one.train).toMatchObject({
      targetShape: [],
      targetNames: ["age"],
      shape: [3, 4, 3],
      notes: ["columns that are not used: weight"],
    });
  });

  it("sorts numbered classes as numbers, and takes the validation part for a test part that is missing", async () => {
    await images;
    const file = table(
      "digits.csv",
      `image,label,split\n${list(3, (i) => `${[10, 9, 10][i]},${i < 2 ? "train" : "val"}`)}`,
    );
    const { train, test, valid } = await loadTable(file);
    expect([train.classes, [...train.targets], [...test.targets], valid]).toEqual([
      ["9", "10"],
      [1, 0],
      [1],
      undefined,
    ]);
    expect(test.notes).toEqual(["the validation images serve as the test set, because there is no other"]);
  });

  it("keeps classes apart whatever they are called, and says where only their case differs", async () => {
    await images;
    const names = ["__proto__", "constructor", "Cat", "cat", "=1+1"];
    const { train } = await loadTable(
      table(
        "names.csv",
        `image,label,split\n${list(5, (i) => `${names[i]},train`)}\n${list(5, (i) => `${names[i]},test`)}`,
      ),
    );
    expect([train.classes, [...train.targets]]).toEqual([
      ["=1+1", "Cat", "__proto__", "cat", "constructor"],
      [2, 4, 1, 3, 0],
    ]);
    expect(train.notes).toEqual(["Cat and cat are two classes, whose names differ in case alone"]);
  });

  it("leaves out missing files when told to, with their rows", async () => {
    await images;
    const file = table("gone.csv", `image,label\nimg/none.png,cat\n${list(9, (i) => (i % 2 ? "dog" : "cat"))}`);
    await expect(loadTable(file)).rejects.toThrow(
      /gone\.csv\] expected images, received a file that cannot be decoded: .*none\.png \(no such file\)/,
    );
    const { train, test } = await loadTable(file, { skipCorrupt: true });
    expect([train.count + test.count, train.classes]).toEqual([9, ["cat", "dog"]]);
    const named = table(
      "named.csv",
      `image,label,split\nimg/none.png,cat,train\n${list(6, (i) => `${i % 2 ? "dog" : "cat"},${i < 2 ? "train" : "test"}`)}`,
    );
    const parts = await loadTable(named, { skipCorrupt: true });
    expect([parts.train.count, parts.test.count, parts.test.images[0]]).toEqual([2, 4, 20]);
    const cow = table("cow.csv", `image,label\nimg/none.png,cow\n${list(9, (i) => (i % 2 ? "dog" : "cat"))}`);
    await expect(loadTable(cow, { skipCorrupt: true })).rejects.toThrow(/of every class, received none of cow/);
    for (const part of [train, test])
      for (let i = 0; i < part.count; i++) expect((part.images[12 * i] / 10) % 2).toBe(part.targets[i]);
  });

  const refused: [string, string, TableOptions, RegExp][] = [
    [
      "no image column",
      "file,label\nimg/0.png,a",
      {},
      /expected columns image, label, received file, label, without image/,
    ],
    ["nothing to predict", "image\nimg/0.png", {}, /a column label, or columns of numbers, received \["image"\]/],
    [
      "a text for a number",
      `image,age\n${list(2, () => "old")}`,
      {},
      /a number as age in line 2, received "old"; the option targets/,
    ],
    ["an empty number", "image,age\nimg/0.png,", {}, /a number as age in line 2, received ""/],
    ["a number too large", "image,age\nimg/0.png,1e99", {}, /a number as age in line 2/],
    ["an empty label", "image,label\nimg/0.png, ", {}, /a text as label in line 2, received " "/],
    ["an empty path", "image,label\n,a", {}, /a text as image in line 2/],
    [
      "an unknown part",
      "image,label,split\nimg/0.png,a,tset",
      {},
      /split in line 2 as train, valid or test, received "tset"/,
    ],
    ["nothing to train on", "image,label,split\nimg/0.png,a,test", {}, /rows to train on, received none/],
    [
      "one class",
      `image,label\n${list(6, () => "a")}`,
      {},
      /at least two classes to train on, received one class, "a"/,
    ],
    [
      "a class that is only tested",
      `image,label,split\n${list(4, (i) => ["a,train", "b,train", "c,test", "B,test"][i])}`,
      {},
      /among a, b, received B, a, b, c, of which B, c unknown; B differs from b in case/,
    ],
    [
      "label and targets",
      `image,label,age\n${list(6, () => "a,1")}`,
      { label: "label", targets: ["age"] },
      /either a label or targets/,
    ],
    [
      "numbers as labels that are not exact",
      '{"image": "img/0.png", "label": 9007199254740993}',
      {},
      /a text as label in line 1, received 9007199254740992/,
    ],
    [
      "a field that only every object has",
      '{"image": "img/0.png", "toString": 1}\n{"image": "img/1.png"}',
      {},
      /a number as toString in line 2, received undefined/,
    ],
    [
      "JSON in JSON",
      `{"image": ${"[".repeat(1e5)}${"]".repeat(1e5)}, "a": 1}`,
      {},
      /a text as image in line 1, received Object/,
    ],
    ["a long line", `{"image": "${"x".repeat(2e6)}"}`, {}, /at most 1048576 characters in line 1/],
    ["a path with a zero byte", "image,label\na\0b,c", {}, /a text as image in line 2/],
    ["a header alone", "image,label", {}, /at least one row below the header/],
    ["an option that is none", "image,label\nimg/0.png,a", { labels: "x" } as TableOptions, /options among/],
    ["broken JSON", '{"image": "img/0.png", "label": "a"}\n{"image":', {}, /a JSON object in line 2/],
    ["a JSON list", '{"image": "img/0.png", "label": "a"}\n[1]', {}, /a JSON object in line 2/],
    [
      "a JSON object without the field",
      '{"image": "img/0.png", "label": "a"}\n{"image": "img/1.png"}',
      {},
      /a text as label in line 2, received undefined/,
    ],
  ];
  it.each(refused)("refuses %s", async (_, text, options, message) => {
    await images;
    const loading = loadTable(table("refused.csv", text), options);
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toThrow(BayesError);
  });

  it("refuses what is no text, and what is no table", async () => {
    const latin = join(dir, "latin.csv");
    writeFileSync(place("latin.csv"), Buffer.from("image,label\né.png,a", "latin1"));
    await expect(loadTable(latin)).rejects.toThrow(/a table as text \(UTF-8\)/);
    await expect(loadTable(join(dir, "none.csv"))).rejects.toThrow(/none\.csv: no such file/);
    await expect(loadTable(dir)).rejects.toThrow(/a table, received a directory/);
    execFileSync("mkfifo", [place("pipe.csv")]);
    await expect(loadTable(join(dir, "pipe.csv"))).rejects.toThrow(/a table, received a pipe/);
    await expect(loadData(join(dir, "pipe.csv"))).rejects.toThrow(/received ".*pipe\.csv", which is nothing at/);
    for (const nothing of [join(latin, "below"), `/${"x".repeat(300)}`, "a\0b"])
      await expect(loadData(nothing)).rejects.toThrow(/which is nothing at/);
    await png("photo.csv", 2, 2, [1, 2, 3]);
    await expect(loadData(join(dir, "photo.csv"))).rejects.toThrow(
      /a folder of images or a table, received one file of png/,
    );
    await expect(loadData(table("pets.zip", "PK"))).rejects.toThrow(/received an archive; unpack it first/);
  });
});
