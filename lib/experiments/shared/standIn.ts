import { type ClassDataset, makeDataset, subset, type TrainTest } from "../../data/dataset.ts";
import { type DatasetName, embeddedMnist } from "../../data/locate.ts";

/** So many images of each part; enough to see every line of code at work, and no more. */
const TRAIN = 1200;
const TEST = 300;

/** Ink and paper of the coloured digits, by a hash of their place in the set. */
const COLOURS = [
  [230, 60, 50],
  [50, 120, 230],
  [240, 200, 60],
  [60, 180, 90],
] as const;

/**
 * What a quick run has in place of a data set: the embedded digits in the set's shape (fashion-mnist: as negatives;
 * cifar-10 and cifar-100: 32x32 and coloured), under a name that says so.
 */
export function standIn(name: DatasetName): TrainTest {
  const { train, test } = embeddedMnist();
  const first = (data: ClassDataset, count: number) =>
    subset(
      data,
      Array.from({ length: count }, (_, i) => i),
    );
  return {
    train: dressed(name, first(train as ClassDataset, TRAIN)),
    test: dressed(name, first(test as ClassDataset, TEST)),
  } as TrainTest;
}

function dressed(name: DatasetName, digits: ClassDataset): ClassDataset {
  const called = `digits in place of ${name}`;
  if (name === "mnist") return { ...digits, name: called };
  if (name === "fashion-mnist")
    return { ...digits, name: called, images: (digits.images as Uint8Array).map((v) => 255 - v) };
  const images = new Uint8Array(digits.count * 32 * 32 * 3);
  for (let n = 0; n < digits.count; n++) {
    const ink = COLOURS[(n * 7 + 3) % 4];
    for (let y = 0; y < 28; y++)
      for (let x = 0; x < 28; x++) {
        const v = digits.images[(n * 28 + y) * 28 + x] / 255;
        for (let c = 0; c < 3; c++) images[((n * 32 + y + 2) * 32 + x + 2) * 3 + c] = Math.round(ink[c] * v);
      }
  }
  return makeDataset({
    name: called,
    shape: [32, 32, 3],
    images,
    labels: digits.targets,
    classes: digits.classes,
  }) as ClassDataset;
}
