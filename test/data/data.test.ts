// Real data sets, read by the readers that users get. Needs the data folder (BAYESCNN_DATA, else ../shared/data).
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadCifar10, loadCifar100, parseCifar } from "../../lib/data/cifar.ts";
import { type ClassDataset, channelStats, imageSize } from "../../lib/data/dataset.ts";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { getData } from "../../lib/data/get.ts";
import { embeddedMnist, findData, loadData } from "../../lib/data/locate.ts";
import { loadMnist } from "../../lib/data/mnist.ts";
import { split } from "../../lib/data/split.ts";

const root = process.env.BAYESCNN_DATA || resolve(import.meta.dirname, "../../../shared/data");

function has(name: string): boolean {
  const there = existsSync(join(root, name));
  if (!there) console.log(`skipped: no ${name} in ${root}`);
  return there;
}

function perClass(data: ClassDataset): number[] {
  const counts = new Array<number>(data.classes.length).fill(0);
  for (const label of data.targets) counts[label]++;
  return counts;
}

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "bayescnn-data-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.skipIf(!has("mnist"))("MNIST", () => {
  it("has the published counts per digit, mean and deviation", async () => {
    const { train, test } = await loadData("mnist", root);
    expect(train).toMatchObject({ name: "mnist", count: 60000, shape: [28, 28, 1] });
    expect(perClass(train)).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    expect(perClass(test)).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    const { mean, std } = channelStats(train);
    expect(mean[0]).toBeCloseTo(0.1307, 4);
    expect(std[0]).toBeCloseTo(0.3081, 4);
  });

  it("begins with the embedded subset", () => {
    const whole = loadMnist(join(root, "mnist"));
    const part = embeddedMnist();
    for (const which of ["train", "test"] as const) {
      const { images, targets, count, shape } = part[which];
      expect(Buffer.from(images).equals(whole[which].images.subarray(0, count * imageSize(shape)) as Uint8Array)).toBe(
        true,
      );
      expect([...targets]).toEqual([...whole[which].targets.subarray(0, count)]);
    }
  });

  it("splits 55,000 / 5,000 without an image in both", () => {
    const { train } = loadMnist(join(root, "mnist"));
    const parts = split(train, { train: 55000, valid: 5000 }, 1);
    const total = perClass(parts.train).map((n, c) => n + perClass(parts.valid)[c]);
    expect(total).toEqual(perClass(train));
  });

  it("comes whole from a server by data get, checked against the built-in sums", async () => {
    const server = createServer((request, response) => {
      response.end(readFileSync(join(root, "mnist", request.url!)));
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const folder = await getData("mnist", { dataDir: dir, url, tries: 1 });
    server.closeAllConnections();
    server.close();
    expect(findData("mnist", dir)).toBe(folder);
    expect((await loadData("mnist", dir)).train.count).toBe(60000);
  });
});

const hasXz = (() => {
  try {
    execFileSync("xz", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    console.log("skipped: CIFAR-10's training batches, because the program xz is not installed");
    return false;
  }
})();

describe.skipIf(!has("cifar-10"))("CIFAR-10", () => {
  it("says how to unpack the .xz files", () => {
    expect(() => loadCifar10(join(root, "cifar-10"))).toThrow(
      /received data_batch_1\.bin\.xz, which Node cannot read.*xz -dk/,
    );
  });

  it("reads the test batch from .bin.gz", () => {
    const bytes = readFileSync(join(root, "cifar-10", "test_batch.bin.gz"));
    const data = parseCifar(bytes, "cifar-10", "test_batch.bin.gz");
    expect(perClass(data)).toEqual(new Array(10).fill(1000));
    const raw = gunzipSync(bytes);
    expect(createHash("md5").update(raw).digest("hex")).toBe("803d5f7f4d78ea53de84dbe85f74fb6d");
    expect(data.images[1]).toBe(raw[1 + 1024]); // green of the first pixel
  });

  it.skipIf(!hasXz)("has the published mean and deviation per channel", async () => {
    const folder = join(dir, "cifar-10");
    mkdirSync(folder);
    for (let i = 1; i <= 5; i++) {
      const packed = join(root, "cifar-10", `data_batch_${i}.bin.xz`);
      writeFileSync(join(folder, `data_batch_${i}.bin`), execFileSync("xz", ["-dc", packed], { maxBuffer: 40e6 }));
    }
    for (const file of ["test_batch.bin.gz", "batches.meta.txt"])
      cpSync(join(root, "cifar-10", file), join(folder, file));
    const { train, test } = await loadData("cifar-10", dir);
    expect(train).toMatchObject({ count: 50000, shape: [32, 32, 3] });
    expect(test.classes).toEqual([
      "airplane",
      "automobile",
      "bird",
      "cat",
      "deer",
      "dog",
      "frog",
      "horse",
      "ship",
      "truck",
    ]);
    expect(perClass(train)).toEqual(new Array(10).fill(5000));
    const { mean, std } = channelStats(train);
    [0.4914, 0.4822, 0.4465].forEach((value, c) => {
      expect(mean[c]).toBeCloseTo(value, 4);
    });
    [0.247, 0.2435, 0.2616].forEach((value, c) => {
      expect(std[c]).toBeCloseTo(value, 4);
    });
  });
});

describe.skipIf(!has("cifar-100"))("CIFAR-100 subset", () => {
  it("has the same number of images of each fine class", () => {
    const { train, test } = loadCifar100(join(root, "cifar-100"));
    expect(perClass(train)).toEqual(new Array(100).fill(25));
    expect(perClass(test)).toEqual(new Array(100).fill(5));
    expect([train.classes[0], train.classes[99]]).toEqual(["apple", "worm"]);
  });
});

const hasSharp = await import("sharp").then(
  () => true,
  () => {
    console.log("skipped: BSD300, because the optional package sharp is not installed");
    return false;
  },
);

describe.skipIf(!has("bsd300") || !hasSharp)("BSD300", () => {
  it("is read as a tree of two folders, resized", async () => {
    const data = await loadImageFolder(join(root, "bsd300"), { size: [24, 32] });
    expect(data).toMatchObject({ count: 300, shape: [24, 32, 3], classes: ["test", "train"] });
    expect(perClass(data)).toEqual([100, 200]);
    const { mean, std } = channelStats(data);
    for (let c = 0; c < 3; c++) {
      expect(mean[c]).toBeGreaterThan(0.3); // natural images: neither black nor white nor flat
      expect(mean[c]).toBeLessThan(0.6);
      expect(std[c]).toBeGreaterThan(0.15);
    }
  });

  it("names an image of another size when none is asked for", async () => {
    await expect(loadImageFolder(join(root, "bsd300"))).rejects.toThrow(
      /expected images of \d+x\d+ pixels like .*received (481x321|321x481) in bsd300.*in \d+ of 300 images/,
    );
  });
});
