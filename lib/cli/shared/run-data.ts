/** The data of a run: read, looked at, split, and compared with what the run was made with. */
import { absentClasses, alignClasses } from "../../data/classes.ts";
import { type AnyDataset, hasClasses, notesOf, type TrainTest, withNotes } from "../../data/dataset.ts";
import { canonical, identity, overlap } from "../../data/identity.ts";
import type { StreamOptions } from "../../data/images.ts";
import { loadTestImages } from "../../data/layouts.ts";
import { findData, isDatasetName, loadData } from "../../data/locate.ts";
import { split } from "../../data/split.ts";
import { BayesError } from "../../util/errors.ts";
import type { RunConfig } from "./run-folder.ts";

/** The parts that a run works with. */
export interface RunData {
  readonly train: AnyDataset;
  readonly valid: AnyDataset | undefined;
  readonly test: AnyDataset;
}

/** How a run's images are read; in memory or not changes nothing that comes of it. */
export const readOptions = (
  data: Pick<RunConfig["data"], "imageSize" | "background" | "skipCorrupt">,
): StreamOptions => ({
  stream: "auto",
  ...(data.imageSize === undefined ? {} : { size: data.imageSize as number | [number, number] }),
  ...(data.background === undefined ? {} : { background: data.background }),
  ...(data.skipCorrupt === undefined ? {} : { skipCorrupt: data.skipCorrupt }),
});

/** What a run keeps of its data, to know it again. */
export const identities = ({ train, valid, test }: TrainTest<AnyDataset>): RunConfig["data"]["identity"] => ({
  train: identity(train),
  ...(valid ? { valid: identity(valid) } : {}),
  test: identity(test),
});

/** Everything that people should know about the data before a run: what was left out, absent classes, images in two parts. */
export function remarks(all: TrainTest<AnyDataset>, parts: RunData): string[] {
  const said = [...notesOf(all), ...(parts.valid?.notes ?? [])];
  for (const [part, data] of [
    ["training", parts.train],
    ["validation", parts.valid],
    ["test", parts.test],
  ] as const) {
    const absent = data && hasClasses(data) ? absentClasses(data) : [];
    if (absent.length > 0) said.push(`no ${part} images of ${absent.slice(0, 10).join(", ")}`);
  }
  const twice = overlap(parts.train, parts.test).length;
  if (twice > 0)
    said.push(
      `${twice} of ${parts.test.count} test images are among the training images too: figures on them are no test`,
    );
  return [...new Set(said)];
}

/**
 * Loads a run's data and makes sure that it is the run's.
 * @param dataDir another place than the one in the recipe, because the data has moved
 * @throws BayesError when there is other data at that place
 */
export async function runData(config: RunConfig, dataDir?: string): Promise<RunData> {
  const { data } = config;
  const all = await loadData(data.name, dataDir ?? data.dir, readOptions(config.data));
  const now = identities(all);
  for (const part of ["train", "valid", "test"] as const) {
    if (now[part] === data.identity[part]) continue;
    const count = all[part]?.count ?? 0;
    throw new BayesError(
      `[data] expected the ${part} images of ${data.name} as they were when the run was made (${data.identity[part] ?? "none"}), ` +
        `received other ones (${now[part] ?? "none"}, ${count} images): images or class names have changed; ` +
        "--data-dir says where the data is, and evaluate --data tests on other data",
      { code: "ERR_BAYES_DATA" },
    );
  }
  return { ...splitData(all, data), test: all.test };
}

/** Training and validation images, in an order that depends on their content alone; the data's own parts if it has them. */
export function splitData<D extends AnyDataset>(
  { train, valid }: TrainTest<D>,
  sizes: { valid: number; seed: number },
): { train: D; valid: D | undefined } {
  if (valid !== undefined || sizes.valid === 0) return { train: canonical(train), valid };
  return split(train, { valid: sizes.valid }, sizes.seed);
}

/**
 * All of another data set, to test a run on: its test part where it has one, else everything; the classes by name.
 * @returns with a note where some of its images may be among those that the run was trained on
 */
export async function otherData(
  name: string,
  dataDir: string | undefined,
  config: RunConfig,
  classes: readonly string[] | undefined,
): Promise<AnyDataset> {
  const folder = isDatasetName(name) ? undefined : findData(name, dataDir);
  const own = folder === undefined ? undefined : await loadTestImages(folder, readOptions(config.data));
  const test: AnyDataset = own ?? (await loadData(name, dataDir, readOptions(config.data))).test;
  const data = classes && hasClasses(test) ? alignClasses(test, classes) : test;
  const trained = await runData(config).catch(() => undefined);
  if (!trained)
    return withNotes(data, [
      "the run's own data is not where it was, so nobody has looked whether it was trained on some of these images",
    ]);
  const seen = overlap(trained.train, data).length;
  if (seen === 0) return data;
  return withNotes(data, [
    `${seen} of these ${data.count} images are among those that the run was trained on: figures on them are no test`,
  ]);
}
