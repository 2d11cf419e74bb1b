import { fail } from "../errors.ts";
import { findFile } from "./bytes.ts";
import { type ClassDataset, makeDataset, type TrainTest } from "./dataset.ts";
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
 * Reads MNIST or Fashion-MNIST from the four IDX files with the standard names, gzip'ed or not. Images are
 * [count, height, width, 1] bytes.
 * @param dir folder that holds the files
 * @param name name of the data set; "fashion-mnist" also gives the classes their names
 * @throws BayesError for a missing, damaged or inconsistent file
 */
export function loadMnist(dir: string, name = "mnist"): TrainTest {
  return {
    train: readPair(dir, name, MNIST_FILES.trainImages, MNIST_FILES.trainLabels),
    test: readPair(dir, name, MNIST_FILES.testImages, MNIST_FILES.testLabels),
  };
}

function readPair(dir: string, name: string, imagesName: string, labelsName: string): ClassDataset {
  const imagesPath = requireFile(dir, imagesName);
  const labelsPath = requireFile(dir, labelsName);
  const images = readIdx(imagesPath);
  const labels = readIdx(labelsPath);
  if (images.dims.length !== 3) fail(imagesPath, "images [count, height, width]", images.dims);
  if (labels.dims.length !== 1) fail(labelsPath, "labels [count]", labels.dims);
  const [count, height, width] = images.dims;
  if (labels.dims[0] !== count)
    fail(labelsPath, `${count} labels, one for each image of ${imagesName}`, labels.dims[0]);
  return makeDataset({
    name,
    images: images.data,
    labels: labels.data,
    shape: [height, width, 1],
    classes: name === "fashion-mnist" ? FASHION : 10,
  });
}

function requireFile(dir: string, name: string): string {
  return findFile(dir, name) ?? fail(dir, `the file ${name} or ${name}.gz`, "a folder without it");
}
