// bayescnn/data: data sets, how they are read, divided and compared.

export type { Augmentation, ResizedCrop } from "./augment.ts";
export { absentClasses, alignClasses, classesOnly } from "./classes.ts";
export {
  type AnyClassDataset,
  type AnyDataset,
  type ClassDataset,
  type ClassExamples,
  type ClassParts,
  type Dataset,
  type Examples,
  hasClasses,
  type ImageShape,
  isStreamed,
  makeDataset,
  notesOf,
  type Parts,
  type StreamedDataset,
  subset,
  type TargetParts,
  type TrainTest,
} from "./dataset.ts";
export type { BadImage, DecodeOptions, Pixels } from "./decode.ts";
export type { Checksum } from "./download.ts";
export { loadImageFolder } from "./folder.ts";
export { type GetOptions, getData, type RemoteFile, type Source } from "./get.ts";
export { canonical, identity, overlap } from "./identity.ts";
export { type IdxArray, readIdx } from "./idx.ts";
export type { BlobLike, ImageInput, RawImage } from "./image-input.ts";
export { type LoadedImages, loadImages, type ReadOptions, type StreamOptions } from "./images.ts";
export { loadImageFolders } from "./layouts.ts";
export { embeddedMnist, loadData } from "./locate.ts";
export type { Normalization, Preprocess } from "./prepare.ts";
export {
  inMemory,
  makeSource,
  normalizationOf,
  type PassOptions,
  type SourceOptions,
  type SourceParts,
} from "./source.ts";
export { type SplitSizes, split } from "./split.ts";
export { loadTable, type TableOptions } from "./table.ts";
export { classWeights } from "./weights.ts";
