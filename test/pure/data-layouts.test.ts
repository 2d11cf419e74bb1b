import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { absentClasses } from "../../lib/data/classes.ts";
import { canonical, identity } from "../../lib/data/identity.ts";
import { loadImageFolders } from "../../lib/data/layouts.ts";
import { imageFolder, sharp } from "../images.ts";

const { dir, png, place } = imageFolder("layouts");

/** Class folders with so many images each, all different. */
async function classes(path: string, counts: Record<string, number>, first = 0): Promise<void> {
  let n = first;
  for (const [name, count] of Object.entries(counts))
    for (let i = 0; i < count; i++) await png(`${path}/${name}/${i}.png`, 2, 2, [n++, 0, 7]);
}

describe.skipIf(sharp === undefined)("loadImageFolders", () => {
  it("finds train/ and test/, with classes by name and some of them missing in test/", async () => {
    await classes("t/train", { ape: 2, bee: 2, cat: 2 });
    await classes("t/test", { cat: 1, ape: 1 }, 50);
    mkdirSync(join(dir, "t/test/bee"));
    const { train, test, valid } = await loadImageFolders(join(dir, "t"));
    expect([train.count, test.count, train.name, test.name, valid]).toEqual([6, 2, "t", "t", undefined]);
    expect([...test.targets]).toEqual([0, 2]);
    expect(test.classes).toEqual(train.classes);
    expect(absentClasses(test)).toEqual(["bee"]);
    expect(test.notes).toEqual(["test has no images of bee"]);
    expect(train.notes).toBeUndefined();
  });

  it("refuses a test class that was not trained on, and points out a difference in case", async () => {
    await classes("c/train", { ape: 1, bee: 1 });
    await classes("c/test", { Bee: 1, ape: 1, cow: 1 });
    await expect(loadImageFolders(join(dir, "c"))).rejects.toThrow(
      /test\] expected classes among ape, bee, received Bee, ape, cow, of which Bee, cow unknown; Bee differs from bee in case/,
    );
  });

  it.each(["val", "valid", "validation", "Val"])("takes train/, %s/ and test/ as three parts", async (name) => {
    await classes(`v-${name}/train`, { ape: 2, bee: 2 });
    await classes(`v-${name}/${name}`, { bee: 1 }, 40);
    await classes(`v-${name}/test`, { ape: 1 }, 60);
    const { train, valid, test } = await loadImageFolders(join(dir, `v-${name}`));
    expect([train.count, valid?.count, test.count]).toEqual([4, 1, 1]);
    expect([...valid!.targets, ...test.targets]).toEqual([1, 0]);
  });

  it("takes val/ for the test set where there is no other, and says so", async () => {
    await classes("w/train", { ape: 2, bee: 2 });
    await classes("w/val", { ape: 1, bee: 1 }, 40);
    const { train, valid, test } = await loadImageFolders(join(dir, "w"));
    expect([train.count, valid, test.count, test.name]).toEqual([4, undefined, 2, "w (validation)"]);
    expect(test.notes).toEqual(["the validation images serve as the test set, because there is no other"]);
  });

  it("passes over a test/ without classes, and says so", async () => {
    await classes("k/train", { ape: 5, bee: 5 });
    await png("k/test/1.png", 2, 2, [1, 1, 1]);
    const { train, test } = await loadImageFolders(join(dir, "k"));
    expect([train.count, test.count, test.name]).toEqual([8, 2, "k (held-out 1/5)"]);
    expect(train.notes).toEqual(["test/ holds 1 image without a class, and is not used"]);
  });

  it("names what lies beside train/ and test/", async () => {
    await classes("b/train", { ape: 1, bee: 1 });
    await classes("b/test", { ape: 1 });
    await classes("b/old", { ape: 1 });
    writeFileSync(join(dir, "b/labels.csv"), "");
    const { train } = await loadImageFolders(join(dir, "b"));
    expect(train.notes).toEqual(["left out 1 file: 1 .csv (b/labels.csv)", "left out old beside train/"]);
  });

  it("knows a class called train from a part", async () => {
    await classes("p", { train: 5, bus: 5 });
    expect((await loadImageFolders(join(dir, "p"))).train.classes).toEqual(["bus", "train"]);
    await classes("q/test", { ape: 1 });
    await classes("q/val", { ape: 1 });
    await expect(loadImageFolders(join(dir, "q"))).rejects.toThrow(
      /q\] expected a folder train\/ beside these, received/,
    );
    await classes("r/train", { ape: 5, bee: 5 });
    expect((await loadImageFolders(join(dir, "r"))).test.count).toBe(2);
    await classes("r/Training", { ape: 5, bee: 5 });
    await classes("r/test", { ape: 5, bee: 5 });
    await expect(loadImageFolders(join(dir, "r"))).rejects.toThrow(
      /one folder of train images, received Training and train/,
    );
  });

  it("takes names for the same whichever way their characters are written", async () => {
    await classes("nfc/train", { "b\u00e9": 1, c: 1 });
    await classes("nfc/test", { "be\u0301": 1 });
    const { train, test } = await loadImageFolders(join(dir, "nfc"));
    expect([train.classes, [...test.targets]]).toEqual([["b\u00e9", "c"], [0]]);
  });

  it("holds out a fifth of every class, whatever the files are called", async () => {
    await classes("u", { ape: 20, bee: 3, cat: 1 });
    const before = await loadImageFolders(join(dir, "u"));
    expect(before.test.name).toBe("u (held-out 1/5)");
    const counts = before.test.classes.map((_, label) => before.test.targets.filter((l) => l === label).length);
    expect(counts).toEqual([3, 1, 0]);
    for (let i = 0; i < 20; i++) {
      mkdirSync(join(dir, `u/ape/deeper/${i % 3}`), { recursive: true });
      renameSync(join(dir, `u/ape/${i}.png`), join(dir, `u/ape/deeper/${i % 3}/${(i * 7) % 20}.image.png`));
    }
    const after = await loadImageFolders(join(dir, "u"));
    expect(after).toEqual(before);
    expect(identity(after.train)).toBe(identity(before.train));
    renameSync(join(dir, "u/ape"), join(dir, "u/zebra"));
    const renamed = await loadImageFolders(join(dir, "u"));
    expect(identity(renamed.train)).not.toBe(identity(before.train));
    expect(canonical(renamed.train).count).toBe(before.train.count);
  });

  it("refuses one class, and looks whether the classes are a folder further in", async () => {
    await classes("one", { ape: 9 });
    await expect(loadImageFolders(join(dir, "one"))).rejects.toThrow(
      /one\] expected images of at least two classes to train on, received one class folder, ape$/,
    );
    await classes("zip/pets", { ape: 5, bee: 5 });
    await expect(loadImageFolders(join(dir, "zip"))).rejects.toThrow(/are the classes in .*zip.pets \(ape, bee\)\?/);
    await classes("two", { ape: 9 });
    mkdirSync(place("two/bee"));
    await expect(loadImageFolders(join(dir, "two"))).rejects.toThrow(/received none in bee/);
    mkdirSync(place("none"));
    await expect(loadImageFolders(join(dir, "none"))).rejects.toThrow(/one folder per class.*received no folders/);
    await png("flat/1.png", 2, 2, [1, 1, 1]);
    await expect(loadImageFolders(join(dir, "flat"))).rejects.toThrow(/received 1 image without a class$/);
    writeFileSync(place("flat/labels.csv"), "");
    await expect(loadImageFolders(join(dir, "flat"))).rejects.toThrow(
      /without a class; is .*flat.labels\.csv the table that says/,
    );
    await classes("few", { ape: 2, bee: 2 });
    await expect(loadImageFolders(join(dir, "few"))).rejects.toThrow(/at least 5 to split, received 4 images/);
    await expect(loadImageFolders(join(dir, "few"), { colour: "red" } as never)).rejects.toThrow(/options among size/);
  });

  it("counts what is left out, of every kind, and opens nothing that is no file", async () => {
    await classes("l", { ape: 5, bee: 5 });
    writeFileSync(place("l/ape/.DS_Store"), "");
    mkdirSync(place("l/__MACOSX/x"), { recursive: true });
    for (const i of [1, 2, 3]) writeFileSync(place(`l/ape/more/${i}.bmp`), "BM and so on");
    symlinkSync("/nowhere/x.png", place("l/ape/x.png"));
    symlinkSync("loop.png", place("l/ape/loop.png"));
    symlinkSync("..", place("l/ape/up"));
    await png("l/loose.png", 2, 2, [0, 0, 0]);
    mkdirSync(place("l/bee/nothing/at/all"), { recursive: true });
    const { execFileSync } = await import("node:child_process");
    execFileSync("mkfifo", [place("l/bee/pipe.png")]);
    const { train, test } = await loadImageFolders(join(dir, "l"));
    expect(train.count + test.count).toBe(10);
    expect(train.notes).toEqual([
      expect.stringMatching(/^left out \d+ files: .*\(.*, …\)$/),
      "no images in 2 folders: l/ape/more, l/bee/nothing",
    ]);
    for (const kind of [
      "3 .bmp",
      "2 dangling links",
      "1 special file",
      "1 loose image",
      "2 hidden files",
      "1 circular link",
    ])
      expect(train.notes![0]).toContain(kind);
  });
});
