// Everything that reads files from outside, each with a good file: what comes of a damaged one is its own data or a
// BayesError, soon, with little memory, and a model or folder is as it was.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { openModel } from "../../lib/checkpoints/open.ts";
import { encodeSafetensors, readSafetensors, type SafeTensor } from "../../lib/checkpoints/safetensors.ts";
import { comparisonRow } from "../../lib/cli/shared/results.ts";
import { openRunFolder, readConfig } from "../../lib/cli/shared/run-folder.ts";
import { parseCifar } from "../../lib/data/cifar.ts";
import { parseCsv } from "../../lib/data/csv.ts";
import { readIdx } from "../../lib/data/idx.ts";
import { loadImages } from "../../lib/data/images.ts";
import { loadTable } from "../../lib/data/table.ts";
import { readTar } from "../../lib/data/tar.ts";
import { importWeights } from "../../lib/import/weights.ts";
import { createModel } from "../../lib/models/create.ts";
import type { Model } from "../../lib/models/model.ts";
import { exportOnnx } from "../../lib/onnx/export.ts";
import { readMetadata } from "../../lib/onnx/metadata.ts";
import { openRun } from "../../lib/predict/open-run.ts";
import { MetricsLog } from "../../lib/train/metrics.ts";
import { sharp } from "../images.ts";

export interface Reader {
  /** The file's path. */
  readonly path: string;
  /** The good file. */
  readonly bytes: Uint8Array;
  /** Reads the file at `path`; what it returns is not looked at. */
  read(path: string): unknown;
  /** What must be as it was when reading was refused. */
  state?(): unknown;
  /** It makes the best of any file. */
  readonly lenient?: boolean;
}

const config = { model: "lenet5" as const, input: [8, 8, 1] as [number, number, number], classes: 2, seed: 4 };
const tar = (entries: readonly [name: string, content: string][]): Uint8Array => {
  const blocks = entries.flatMap(([name, content]) => {
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write("0000644\0", 100);
    head.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    head.write("        0ustar\0", 148);
    const sum = head.reduce((a, b) => a + b, 0);
    head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
    body.write(content);
    return [head, body];
  });
  return new Uint8Array(Buffer.concat([...blocks, Buffer.alloc(1024)]));
};

/** The model's means as somebody else would have written them, in half floats: zeros of PyTorch's shapes. */
function torchTensors(model: Model): Map<string, SafeTensor> {
  const tensors = new Map<string, SafeTensor>();
  for (const { name, shape } of model.parameters)
    if (name.endsWith("/mu")) {
      const theirs = shape.length === 4 ? [shape[3], shape[2], shape[0], shape[1]] : [...shape].reverse();
      const data = new Uint16Array(theirs.reduce((a, b) => a * b));
      tensors.set(name.slice(0, -"/mu".length).replaceAll("/", "."), { dtype: "F16", shape: theirs, data });
    }
  return tensors;
}

/**
 * All readers by name, their files below `folder`, and a model of theirs that is to be closed.
 * @param run a run folder that `bayescnn train` has made, of {@link config}'s model
 */
export async function readers(folder: string, run: string): Promise<{ all: Record<string, Reader>; model: Model }> {
  const at = (name: string): string => join(folder, name);
  const text = (content: string): Uint8Array => new Uint8Array(Buffer.from(content));
  const model = createModel(config);
  saveCheckpoint(at("good.safetensors"), model);
  const checkpoint = new Uint8Array(readFileSync(at("good.safetensors")));
  const inRun = (name: string): Uint8Array => new Uint8Array(readFileSync(join(run, name)));
  const idx = Uint8Array.from(
    { length: 16 + 3 * 28 * 28 },
    (_, i) => [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 28, 0, 0, 0, 28][i] ?? i & 255,
  );
  mkdirSync(at("pictures"));
  const pixels = Uint8Array.from({ length: 20 * 30 * 3 }, (_, i) => (i * 7) & 255);
  const picture = async (format: "png" | "jpeg" | "webp" | "gif" | "tiff"): Promise<Uint8Array> =>
    new Uint8Array(
      await sharp!(pixels, { raw: { width: 30, height: 20, channels: 3 } })
        .toFormat(format)
        .toBuffer(),
    );
  const pictures: Record<string, Reader> = {};
  if (sharp)
    for (const format of ["png", "jpeg", "webp", "gif", "tiff"] as const)
      pictures[`${format} of loadImages`] = {
        path: at(`picture.${format}`),
        bytes: await picture(format),
        read: (path) => loadImages(path, [8, 8, 3]),
      };
  if (sharp) for (const name of ["a.png", "b.png"]) writeFileSync(at(`pictures/${name}`), await picture("png"));
  const table = (name: string, content: string): Reader => ({
    path: at(`pictures/${name}`),
    bytes: text(content),
    read: (path) => loadTable(path, { size: [8, 8] }),
  });
  const slots = (): unknown =>
    [...model.store.slots.values()].map(({ name }) => [
      name,
      createHash("sha1").update(model.store.get(name)).digest("hex"),
    ]);
  const files = (): unknown => readdirSync(run).sort();
  const opened = async (path: string): Promise<void> => (await openRun(path)).close();

  return {
    model,
    all: {
      "checkpoint of restore": {
        path: at("a.safetensors"),
        bytes: checkpoint,
        read: (path) => restore(model, loadCheckpoint(path)),
        state: () => [slots(), [...model.store.streams], model.threshold],
      },
      "checkpoint of openModel": {
        path: at("b.safetensors"),
        bytes: checkpoint,
        read: (path) => openModel(path).close(),
      },
      "checkpoint of openRun": { path: at("c.safetensors"), bytes: checkpoint, read: opened },
      safetensors: { path: at("d.safetensors"), bytes: checkpoint, read: readSafetensors },
      IDX: { path: at("a-idx3-ubyte"), bytes: idx, read: readIdx },
      "IDX, compressed": { path: at("b-idx3-ubyte.gz"), bytes: new Uint8Array(gzipSync(idx)), read: readIdx },
      "CIFAR-10": {
        path: at("batch.bin"),
        bytes: Uint8Array.from({ length: 3 * 3073 }, (_, i) => (i % 3073 ? i & 255 : 3)),
        read: (path) => parseCifar(readFileSync(path), "cifar-10", path),
      },
      CSV: {
        path: at("plain.csv"),
        bytes: text('image,label\n"a, b.png",1\r\nc.png,"two ""quoted"""\n'),
        read: (path) => parseCsv(readFileSync(path, "utf8"), path),
      },
      tar: {
        path: at("a.tar"),
        bytes: tar([
          ["folder/one.txt", "one"],
          ["two.txt", "two".repeat(300)],
        ]),
        read: (path) => readTar(readFileSync(path), path),
      },
      "safetensors of importWeights": {
        path: at("e.safetensors"),
        bytes: encodeSafetensors(torchTensors(model), { format: "pt" }),
        read: (path) => importWeights(model, path),
        state: slots,
      },
      "ONNX of importWeights": {
        path: at("b.onnx"),
        bytes: exportOnnx(model, { mode: "mean" }),
        read: (path) => importWeights(model, path),
        state: slots,
      },
      "ONNX metadata": {
        path: at("a.onnx"),
        bytes: exportOnnx(model),
        read: (path) => readMetadata(readFileSync(path)),
      },
      "config.json": {
        path: join(run, "config.json"),
        bytes: inRun("config.json"),
        read: () => readConfig(run),
        state: files,
      },
      "config.json of a run that is opened": {
        path: join(run, "config.json"),
        bytes: inRun("config.json"),
        read: () => openRunFolder(run).model.close(),
      },
      "config.json of openRun": {
        path: join(run, "config.json"),
        bytes: inRun("config.json"),
        read: () => opened(run),
      },
      "report.json": { path: join(run, "report.json"), bytes: inRun("report.json"), read: () => comparisonRow(run) },
      "metrics.jsonl": {
        path: at("metrics.jsonl"),
        bytes: inRun("metrics.jsonl"),
        read: (path) => new MetricsLog(path, 5).close(),
        lenient: true,
      },
      ...(sharp
        ? {
            "table of images": table("images.csv", "image,label\n" + "a.png,0\nb.png,1\n".repeat(4)),
            "table of numbers": table("numbers.csv", "image,x,y\n" + "a.png,0.5,1e3\nb.png,-1,2\n".repeat(4)),
            "table of JSON lines": table(
              "metadata.jsonl",
              '{"image": "a.png", "label": 1}\n{"image": "b.png", "label": 0}\n'.repeat(4),
            ),
          }
        : {}),
      ...pictures,
    },
  };
}
