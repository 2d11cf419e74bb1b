// bayescnn/data: data sets, how they are read, divided and compared.

export type { Augmentation, ResizedCrop } from "./augment.ts";
export { absentClasses, alignClasses, classesOnly } from "./classes.ts";
export {
  type ClassDataset,
  type ClassParts,
  type Dataset,
  hasClasses,
  type ImageShape,
  makeDataset,
  notesOf,
  type Parts,
  subset,
  type TargetParts,
  type TrainTest,
} from "./dataset.ts";
export type { BadImage, DecodeOptions } from "./decode.ts";
export type { Checksum } from "./download.ts";
export { loadImageFolder } from "./folder.ts";
export { type GetOptions, getData, type RemoteFile, type Source } from "./get.ts";
export { canonical, identity, overlap } from "./identity.ts";
export { type IdxArray, readIdx } from "./idx.ts";
export type { ImageInput, RawImage } from "./image-input.ts";
export { type LoadedImages, loadImages, type ReadOptions } from "./images.ts";
export { loadImageFolders } from "./layouts.ts";
export { embeddedMnist, loadData } from "./locate.ts";
export { type Normalization, normalizationOf, type Preprocess } from "./prepare.ts";
export { type SplitSizes, split } from "./split.ts";
export { loadTable, type TableOptions } from "./table.ts";
export { classWeights } from "./weights.ts";
