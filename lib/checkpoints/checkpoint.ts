/**
 * Checkpoints: one safetensors file with every slot of the model's store that training must not lose (parameters,
 * running statistics, pruning masks, optimizer moments), and, as JSON in its metadata, what the model is and where
 * training stands. Noise, data order and augmentation are functions of (seed, step), so nothing random is stored.
 */

import { isDeepStrictEqual, types } from "node:util";
import { z } from "zod";
import { checkPreprocess, type Preprocess, samePreprocess } from "../data/prepare.ts";
import { type DType, sameShape, sizeOf } from "../graph/node.ts";
import { roleOf, type SlotRole } from "../graph/roles.ts";
import type { Slot } from "../graph/store.ts";
import { checkValues } from "../graph/values.ts";
import { likelihoodNames, likelihoodOf } from "../likelihoods/known.ts";
import type { Likelihood } from "../likelihoods/shared/likelihood.ts";
import type { Knowledge, Model } from "../models/model.ts";
import type { Data } from "../native/addon.ts";
import { arrayKind } from "../util/arrays.ts";
import { BayesError, checkPath, type ErrorCode, fail, shorten, words } from "../util/errors.ts";
import { parseJson } from "../util/json.ts";
import { FIRST_RESERVED_STREAM } from "../util/philox.ts";
import { checkSums, checksums } from "./checksum.ts";
import { readSafetensors, type SafeTensor, SafetensorsFile, writeSafetensors } from "./safetensors.ts";
import { KINDS } from "./safetensors-header.ts";
import type { Json, TrainingState } from "./state.ts";
import { trainingState } from "./state-schema.ts";

const preprocess = z.strictObject({
  scale: z.array(z.number()),
  shift: z.array(z.number()),
  pixels: z.enum(["u8", "f32"]).optional(),
  background: z.string().optional(),
});
const threshold = z.strictObject({
  certainty: z.number(),
  maxError: z.number().optional(),
  minCoverage: z.number().optional(),
  risk: z.number(),
  coverage: z.number(),
  count: z.int().min(0),
});
const about = z.strictObject({
  schema: z.literal(2),
  model: z.strictObject({
    name: z.string(),
    config: z.record(z.string(), z.json()),
    likelihood: z.looseObject({ kind: z.string() }),
    preprocess: preprocess.optional(),
    threshold: threshold.optional(),
  }),
  device: z.string(),
  streams: z
    .record(
      z.string(),
      z
        .int()
        .min(0)
        .max(FIRST_RESERVED_STREAM - 1),
    )
    .refine((of) => new Set(Object.values(of)).size === Object.keys(of).length, "a stream of its own for every node"),
  training: trainingState.optional(),
});

/** A checkpoint in memory. */
export interface Checkpoint {
  readonly path: string;
  readonly model: Knowledge & { readonly name: string; readonly config: Readonly<Record<string, unknown>> };
  /** Device it was trained on, with its instruction set: another one goes on with other last bits. */
  readonly device: string;
  /** Noise stream of every stochastic node by name. */
  readonly streams: Readonly<Record<string, number>>;
  /** Where training stood; absent if the model was saved without. */
  readonly training: TrainingState | undefined;
  readonly tensors: ReadonlyMap<string, SafeTensor>;
}

const codes = { f32: "F32", i32: "I32", u8: "U8" } as const satisfies Record<DType, SafeTensor["dtype"]>;

function json(config: object): Record<string, Json> {
  try {
    return JSON.parse(JSON.stringify(config));
  } catch (error) {
    throw new BayesError("[checkpoint] expected a model's config that JSON can hold, received another", {
      cause: error,
    });
  }
}

/** The description as text. What {@link loadCheckpoint} would refuse is refused here, while the run is still there. */
function describe(path: string, description: object): string {
  const value = JSON.parse(JSON.stringify(description));
  const parsed = about.safeParse(value);
  if (parsed.success && isDeepStrictEqual(parsed.data, value)) {
    const text = JSON.stringify(parsed.data); // in one order of fields
    parseJson(path, text);
    return text;
  }
  const what = parsed.error?.issues.map((i) => `${i.path.join(".")}: ${i.message}`)[0] ?? "a name that it cannot";
  throw new BayesError(`[${path}] expected a model and a state that a checkpoint can hold, received ${shorten(what)}`);
}

/** A value of a checkpoint, for a message. */
export const inShort = (value: unknown): string => shorten(String(JSON.stringify(value)));

/**
 * Writes a checkpoint, whole or not at all. No run may be under way on the model.
 * @param training where training stands; without it the optimizer's moments are left out too
 * @throws BayesError when a value is NaN or infinite or is none that JSON can hold, or the file cannot be written; an older one is then as it was
 */
export function saveCheckpoint(path: string, model: Model, training?: TrainingState): void {
  checkPath("save", path);
  checkTarget("save", model);
  const { store } = model;
  const tensors = new Map<string, SafeTensor>();
  for (const slot of [...store.slots.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (slot.role === "data" || (slot.role === "moment" && !training)) continue;
    const data = store.get(slot.name);
    checkFinite(`${path}: ${slot.name}`, data, "ERR_BAYES_NUMERIC");
    tensors.set(slot.name, { dtype: codes[slot.dtype], shape: slot.shape, data } as SafeTensor);
  }
  const description = {
    schema: 2,
    model: { name: model.name, config: json(model.config), ...json(model.knowledge) },
    device: store.device.name,
    streams: Object.fromEntries(store.streams),
    training,
  };
  write(path, tensors, describe(path, description));
}

function write(path: string, tensors: ReadonlyMap<string, SafeTensor>, checkpoint: string): void {
  writeSafetensors(path, tensors, {
    format: "bayescnn",
    checkpoint,
    crc32: JSON.stringify(checksums(checkpoint, tensors)),
  });
}

/**
 * Writes a checkpoint anew with something else that its model knows; weights, moments and the state of training stay.
 * @throws BayesError as {@link loadCheckpoint} and {@link saveCheckpoint} do
 */
export function amendCheckpoint(path: string, knowledge: Partial<Pick<Knowledge, "likelihood" | "threshold">>): void {
  const { model, device, streams, training, tensors } = loadCheckpoint(path);
  const about = { schema: 2 as const, model: { ...model, ...knowledge }, device, streams, training };
  write(path, tensors, describe(path, JSON.parse(JSON.stringify(about))));
}

/**
 * Reads a checkpoint and believes none of it: the file, its metadata and every number are checked.
 * @throws BayesError that names the file and the first thing that is wrong
 */
export function loadCheckpoint(path: string): Checkpoint {
  const { tensors, metadata } = readSafetensors(checkPath("load", path));
  const about = described(path, metadata);
  for (const [name, tensor] of tensors) checkFinite(`${path}: ${name}`, tensor.data, "ERR_BAYES_FILE");
  checkSums(path, metadata, tensors);
  return { ...about, tensors };
}

/** What a checkpoint says about itself, without its tensors: only the header of the file is read. */
export function peekCheckpoint(path: string): Omit<Checkpoint, "tensors"> {
  using file = new SafetensorsFile(checkPath("load", path));
  return described(path, file.metadata);
}

function described(path: string, metadata: Readonly<Record<string, string>>): Omit<Checkpoint, "tensors"> {
  if (metadata.format !== "bayescnn" || metadata.checkpoint === undefined)
    fail(path, "a checkpoint of this library", metadata.format ?? words("another safetensors file"), "ERR_BAYES_FILE");
  const value = parseJson(path, metadata.checkpoint, { what: "the checkpoint's description to be JSON" });
  const version = (value as { schema?: unknown } | null)?.schema;
  if (version !== 2) fail(path, "a checkpoint of schema 2", version, "ERR_BAYES_FILE");
  const parsed = about.safeParse(value);
  if (!parsed.success) return invalid(path, parsed.error);
  const { model, device, streams, training } = parsed.data;
  return { path, model, device, streams, training };
}

function invalid(path: string, { issues: [issue] }: z.ZodError): never {
  const what = shorten(`${issue.path.join(".")}: ${issue.message}`);
  throw new BayesError(`[${path}] expected a valid checkpoint, received ${what}`, { code: "ERR_BAYES_FILE" });
}

/**
 * Puts a checkpoint's contents into a model of the same architecture: parameters, running statistics, masks and noise
 * streams. Everything is compared first, so a checkpoint that does not fit changes nothing.
 * @param options moments: the optimizer's too, which must have been set up (as `fit` does before it resumes)
 * @throws BayesError that names the first tensor that is missing, unknown, or of another shape or dtype
 */
export function restore(model: Model, checkpoint: Checkpoint, { moments = false } = {}): void {
  checkTarget("restore", model);
  if (!types.isMap(checkpoint?.tensors)) fail("restore", "a checkpoint, as loadCheckpoint gives it", checkpoint);
  const { tensors } = checkpoint;
  const path = checkPath("restore", checkpoint.path);
  const valid = about.pick({ model: true, streams: true }).safeParse({
    model: checkpoint.model,
    streams: checkpoint.streams,
  });
  if (!valid.success) invalid(path, valid.error);
  const { store } = model;
  const knowledge = agreed(path, model, checkpoint.model);
  if (checkpoint.model.name !== model.name)
    fail(path, `a checkpoint of model ${model.name}`, checkpoint.model.name, "ERR_BAYES_FILE");
  const [mine, theirs] = [json(model.config), checkpoint.model.config];
  for (const key of new Set([...Object.keys(mine), ...Object.keys(theirs)]))
    if (key !== "seed" && !isDeepStrictEqual(mine[key], theirs[key]))
      // the initial values are replaced
      throw new BayesError(
        `[${path}] expected a model with ${key} ${inShort(mine[key])}, received ${inShort(theirs[key])}`,
        { code: "ERR_BAYES_FILE" },
      );

  const skipped = (role: SlotRole | undefined) => role === "data" || (role === "moment" && !moments);
  const wanted = [...store.slots.values()].filter((slot) => !skipped(slot.role));
  for (const slot of wanted) checkTensor(path, slot, tensors.get(slot.name));
  const masks: string[] = [];
  for (const [name, tensor] of tensors) {
    const { role, of } = roleOf(name);
    if (skipped(role) || store.slots.has(name)) continue;
    const weight = role === "mask" && (store.slots.get(of) ?? store.slots.get(`${of}/mu`));
    if (!weight)
      throw new BayesError(`[${path}: ${name}] expected only tensors that the model has, received another`, {
        code: "ERR_BAYES_FILE",
      });
    checkTensor(path, { ...weight, name, values: "mask" }, tensor);
    masks.push(name);
  }

  for (const name of masks) store.define(name, tensors.get(name)!.shape);
  for (const name of [...wanted.map((slot) => slot.name), ...masks])
    store.set(name, tensors.get(name)!.data as Float32Array);
  model.learn(knowledge.likelihood, knowledge.preprocess);
  model.threshold = checkpoint.model.threshold;
  store.setStreams(checkpoint.streams);
}

/** What the model knows after it has taken over a checkpoint. @throws BayesError that names both where they disagree */
function agreed(path: string, model: Model, theirs: Knowledge): { likelihood: Likelihood; preprocess?: Preprocess } {
  const mine = model.knowledge;
  const differs = (): never => {
    throw new BayesError(
      `[${path}] expected a model of likelihood ${JSON.stringify(mine.likelihood)}, received ${JSON.stringify(theirs.likelihood)}`,
      { code: "ERR_BAYES_FILE" },
    );
  };
  if (!model.likelihood.agrees(theirs.likelihood)) differs();
  if (mine.preprocess && theirs.preprocess && !samePreprocess(mine.preprocess, theirs.preprocess))
    throw new BayesError(
      `[${path}] expected a model with preprocess ${JSON.stringify(mine.preprocess)}, received ${JSON.stringify(theirs.preprocess)}`,
      { code: "ERR_BAYES_FILE" },
    );
  const known = likelihoodNames.includes(theirs.likelihood.kind);
  // one of the user's cannot be made again from what the file says, so the model has to have the very same
  if (!known && !isDeepStrictEqual(json(mine.likelihood), theirs.likelihood)) differs();
  const likelihood = known ? likelihoodOf(theirs.likelihood) : model.likelihood;
  likelihood.targetShape(path, model.outputShape);
  const preprocess = theirs.preprocess ?? mine.preprocess;
  return { likelihood, preprocess: preprocess && checkPreprocess(path, preprocess, model.inputShape[2]) };
}

function checkTarget(where: string, model: Model): void {
  if (typeof model?.store?.checkIdle !== "function" || typeof model.learn !== "function") fail(where, "a model", model);
  model.store.checkIdle(`${where} ${model.name}`);
}

function checkFinite(where: string, data: SafeTensor["data"], code: ErrorCode): void {
  if (arrayKind(data) !== "Float32Array") return;
  checkValues(where, "finite", data as Data, code);
}

/** Throws unless a file's tensor is of the slot's type, and holds what the slot may hold: before any of it is taken over. */
function checkTensor(path: string, slot: Slot, tensor: SafeTensor | undefined): void {
  const expected = `${codes[slot.dtype]}[${slot.shape.join(", ")}]`;
  if (!tensor)
    throw new BayesError(`[${path}: ${slot.name}] expected ${expected}, received a file without it`, {
      code: "ERR_BAYES_FILE",
    });
  if (tensor.dtype !== codes[slot.dtype] || !Array.isArray(tensor.shape) || !sameShape(tensor.shape, slot.shape))
    throw new BayesError(
      `[${path}: ${slot.name}] expected ${expected}, received ${tensor.dtype}[${tensor.shape.join(", ")}]`,
      { code: "ERR_BAYES_FILE" },
    );
  const kind = KINDS[codes[slot.dtype]];
  if (arrayKind(tensor.data) !== kind || tensor.data.length !== sizeOf(slot.shape))
    fail(
      `${path}: ${slot.name}`,
      `${expected} with ${sizeOf(slot.shape)} values as ${kind}`,
      tensor.data,
      "ERR_BAYES_FILE",
    );
  checkValues(`${path}: ${slot.name}`, slot.values, tensor.data as Data, "ERR_BAYES_FILE");
}
