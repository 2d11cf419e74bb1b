import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { embeddedMnist, findData, loadData } from "../../lib/data/locate.ts";

let dir = "";
const touch = (path: string, file: string) => {
  mkdirSync(join(dir, path), { recursive: true });
  writeFileSync(join(dir, path, file), "");
};
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "bayescnn-locate-"));
  touch("root/mnist", "train-images-idx3-ubyte.gz");
  touch("root/cifar-10/cifar-10-batches-bin", "data_batch_1.bin");
  touch("flat", "train-images-idx3-ubyte");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("findData", () => {
  it("takes the folder itself, or the folder above, or what an archive unpacks to", () => {
    expect(findData("mnist", join(dir, "root"))).toBe(join(dir, "root/mnist"));
    expect(findData("mnist", join(dir, "root/mnist"))).toBe(join(dir, "root/mnist"));
    expect(findData("mnist", join(dir, "flat"))).toBe(join(dir, "flat"));
    expect(findData("cifar-10", join(dir, "root"))).toBe(join(dir, "root/cifar-10/cifar-10-batches-bin"));
    expect(findData("cifar-100", join(dir, "root"))).toBeUndefined();
  });

  it("does not take MNIST's folder for Fashion-MNIST", () => {
    expect(findData("fashion-mnist", join(dir, "root/mnist"))).toBeUndefined();
  });

  it("prefers the argument, then BAYESCNN_DATA, then ./data", () => {
    vi.stubEnv("BAYESCNN_DATA", join(dir, "root"));
    expect(findData("mnist")).toBe(join(dir, "root/mnist"));
    expect(findData("mnist", join(dir, "flat"))).toBe(join(dir, "flat"));
    vi.stubEnv("BAYESCNN_DATA", "");
    expect(findData("cifar-100")).toBeUndefined();
    vi.unstubAllEnvs();
  });
});

describe("loadData", () => {
  it("falls back to the embedded digits, but not when a folder was asked for", async () => {
    vi.stubEnv("BAYESCNN_DATA", join(dir, "nothing"));
    const { train, test } = await loadData("mnist");
    vi.unstubAllEnvs();
    expect(train).toMatchObject({ name: "mnist-6k", count: 6000, shape: [28, 28, 1] });
    expect(test.count).toBe(1000);
    await expect(loadData("mnist", join(dir, "nothing"))).rejects.toThrow(
      /nothing\/mnist, .*nothing, received nothing there/,
    );
  });

  it("calls the embedded digits by their name also where ./data is their folder", async () => {
    const data = new URL("../../data", import.meta.url).pathname;
    expect((await loadData("mnist", data)).train.name).toBe("mnist-6k");
  });

  it("says where it looked and how to get the data", async () => {
    const message = /cifar-100 in one of .*root\/cifar-100.*`bayescnn data get cifar-100` fetches it/;
    await expect(loadData("cifar-100", join(dir, "root"))).rejects.toThrow(message);
    await expect(loadData("imagenet", dir)).rejects.toThrow(
      /mnist, fashion-mnist, cifar-10, cifar-100, a folder of images or a table, received "imagenet", which is nothing at/,
    );
  });

  it("leaves a damaged set to the reader's message", async () => {
    await expect(loadData("mnist", join(dir, "root"))).rejects.toThrow(
      /root\/mnist\] expected the file train-labels-idx1-ubyte or/,
    );
  });
});

describe("data that has moved", () => {
  it("is found in the folder it is in now, or is that folder, whatever it is called", () => {
    touch("new/pets/cat", "1.png");
    touch("renamed/cat", "1.png");
    touch("empty", "file");
    const old = "/once/upon/a/time/pets";
    expect(findData(old, join(dir, "new"))).toBe(join(dir, "new/pets"));
    expect(findData(old, join(dir, "new/pets"))).toBe(join(dir, "new/pets"));
    expect(findData(old, join(dir, "renamed"))).toBe(join(dir, "renamed"));
    expect(findData(old, join(dir, "empty"))).toBeUndefined();
    expect(findData(old)).toBeUndefined();
  });

  it("is looked for first where the user says, then where it was", () => {
    touch("old/pets/cat", "1.png");
    touch("elsewhere/dog", "1.png");
    expect(findData(join(dir, "old/pets"), join(dir, "new"))).toBe(join(dir, "new/pets"));
    expect(findData(join(dir, "old/pets"), join(dir, "elsewhere"))).toBe(join(dir, "old/pets"));
    expect(findData(join(dir, "old/pets"))).toBe(join(dir, "old/pets"));
    expect(findData("pets", join(dir, "elsewhere"))).toBeUndefined();
    expect(findData("new/pets", dir)).toBe(join(dir, "new/pets"));
  });

  it("is missed with the places named", async () => {
    await expect(loadData("/once/pets", join(dir, "empty"))).rejects.toThrow(
      /received "\/once\/pets", which is nothing at .*empty.pets or \/once\/pets; --data-dir says where/,
    );
  });
});

describe("the embedded digits", () => {
  it("are the first of MNIST: labels 5 0 4 1 9 …, mean and deviation as known", () => {
    const { train, test } = embeddedMnist();
    expect([...train.targets.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    expect([...test.targets.subarray(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    expect(new Set(train.targets).size).toBe(10);
  });
});
