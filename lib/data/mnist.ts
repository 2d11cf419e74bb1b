import { failFile as fail, words } from "../util/errors.ts";
import { findFile } from "./bytes.ts";
import { makeDataset, type TrainTest } from "./dataset.ts";
import { readIdx } from "./idx.ts";

const FASHION = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

/** The four files of MNIST and of everything made in its image, each also with ".gz". */
export const MNIST_FILES = {
  trainImages: "train-images-idx3-ubyte",
  trainLabels: "train-labels-idx1-ubyte",
  testImages: "t10k-images-idx3-ubyte",
  testLabels: "t10k-labels-idx1-ubyte",
} as const;

/**
 * Reads MNIST, Fashion-MNIST, or any set in four IDX files with the standard names, gzip'ed or not. Images are
 * [count, height, width, 1] bytes, or of as many channels as a fourth dimension says.
 * @param dir folder that holds the files
 * @param name name of the data set: "mnist" has 10 classes, "fashion-mnist" ones with names, and any other as many as its
 *   largest label tells
 * @throws BayesError for a missing, damaged or inconsistent file
 */
export function loadMnist(dir: string, name = "mnist"): TrainTest {
  const train = readPair(dir, MNIST_FILES.trainImages, MNIST_FILES.trainLabels);
  const test = readPair(dir, MNIST_FILES.testImages, MNIST_FILES.testLabels);
  const largest = [train, test].reduce((most, { labels }) => labels.reduce((a, b) => Math.max(a, b), most), 0);
  const classes = name === "fashion-mnist" ? FASHION : name === "mnist" || name === "mnist-6k" ? 10 : largest + 1;
  return { train: makeDataset({ ...train, name, classes }), test: makeDataset({ ...test, name, classes }) };
}

function readPair(dir: string, imagesName: string, labelsName: string) {
  const imagesPath = requireFile(dir, imagesName);
  const labelsPath = requireFile(dir, labelsName);
  const images = readIdx(imagesPath);
  const labels = readIdx(labelsPath);
  const [count, height, width, channels = 1] = images.dims;
  if (images.dims.length < 3) fail(imagesPath, "images [count, height, width]", images.dims);
  if (labels.dims.length !== 1) fail(labelsPath, "labels [count]", labels.dims);
  if (labels.dims[0] !== count)
    fail(labelsPath, `${count} labels, one for each image of ${imagesName}`, labels.dims[0]);
  return { images: images.data, labels: labels.data, shape: [height, width, channels] as const };
}

function requireFile(dir: string, name: string): string {
  return findFile(dir, name) ?? fail(dir, `the file ${name} or ${name}.gz`, words("a folder without it"));
}
