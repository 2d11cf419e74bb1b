// a user's "lib" may lack [Symbol.dispose]:
/// <reference lib="esnext.disposable" preserve="true" />
import { isDeepStrictEqual } from "node:util";
import { type BayesOptions, type BayesSettings, settings } from "../bayes/settings.ts";
import { checkPreprocess, type Preprocess } from "../data/prepare.ts";
import { f32, i32, type Shape, sizeOf, Tensor } from "../graph/node.ts";
import { type Slot, Store } from "../graph/store.ts";
import { drewNoise, input, type Mode, type TraceOptions, withTrace } from "../graph/trace.ts";
import { checkLayers, isAmong, layerOf, layerTensors } from "../layers/names.ts";
import { type KlTerm, type LayerSettings, layerContext, layersOf, type Widths } from "../layers/scope.ts";
import { checkLikelihood } from "../likelihoods/known.ts";
import type { Likelihood, LikelihoodConfig, Threshold } from "../likelihoods/shared/likelihood.ts";
import { type Device, type DeviceName, openDevice } from "../native/device.ts";
import { add } from "../ops/add.ts";
import { copyList } from "../util/arrays.ts";
import { BayesError, checkInt, checkNumber, checkOptions, fail } from "../util/errors.ts";
import { frozenJson } from "../util/json.ts";

export interface ModelOptions<L extends Likelihood = Likelihood> {
  /** For people and files. Default "model". */
  readonly name?: string;
  /** [height, width, channels] of one input. */
  readonly input: readonly [height: number, width: number, channels: number];
  /** What the output means: `categorical(10)`, `bernoulli()`, `gaussian()`, … */
  readonly likelihood: L;
  /** The model: an ordinary function of a traced tensor [batch, height, width, channels] to what the likelihood reads. */
  readonly build: (x: Tensor) => Tensor;
  /**
   * What happens to pixels first. Default: the first `fit` takes {@link normalizationOf} its training set, and the model
   * keeps it.
   */
  readonly preprocess?: Preprocess;
  readonly bayes?: BayesOptions;
  /** Which layers are Bayesian, and which are not trained, whatever the function says; kept in `config`. */
  readonly layers?: LayerChoice;
  /** Seed of the initial parameters. */
  readonly seed?: number;
  /** Where it runs: "cpu", or "auto" (default), the best one of this build. */
  readonly device?: DeviceName | Device;
  /** How to make this model again, as JSON (copied); kept in checkpoints. */
  readonly config?: Readonly<Record<string, unknown>>;
  /**
   * Filters or units that layers have left, by the layer's name, in place of what `build` says: what {@link shrink} has made of
   * a model. Kept in the config.
   */
  readonly widths?: Widths;
}

/** A choice among the layers of a model; a name such as "stage1" is also that of all layers below it, "stage1/block1/conv1". */
export interface LayerChoice {
  /** The layers that are Bayesian: all, none, or those named. Default: as the function says, `bayesLinear` or `linear`. */
  readonly bayesian?: boolean | readonly string[];
  /** Layers that training leaves as they are, unless `fit` is told otherwise. Default none. */
  readonly frozen?: readonly string[];
}

export interface ApplyOptions {
  readonly mode: Mode;
  /** Training-time behaviour of batch norm and dropout. */
  readonly training?: boolean;
  readonly samples?: number;
  /** Needed in mode "sample", and by dropout in training. */
  readonly noise?: TraceOptions["noise"];
  /** Layers that training leaves as they are; default the model's. */
  readonly frozen?: readonly string[];
  /** How layers draw in mode "sample"; default: as the model's settings say. */
  readonly estimator?: BayesSettings["estimator"];
}

export interface ApplyResult<R = undefined> {
  /** [samples * batch, ...] */
  readonly output: Tensor;
  /** What the function passed to `apply` made of the output. */
  readonly result: R;
  /** KL(posterior || prior) in nats, over every weight exactly once; undefined for a model without Bayesian layers,
   * and in mode "mean" where it would have to be sampled. */
  readonly kl: Tensor | undefined;
  readonly klTerms: readonly KlTerm[];
  /** The trainable leaves of layers that are not frozen, by name. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** @internal Names of the layers whose number of filters or units may be another (see {@link Model.resized}). */
  readonly resizable: ReadonlySet<string>;
}

/** What a model knows besides its weights, as checkpoints keep it. */
export interface Knowledge {
  readonly likelihood: LikelihoodConfig;
  readonly preprocess?: Preprocess;
  /** From which certainty on it answers (see `chooseThreshold`). */
  readonly threshold?: Threshold;
}

/** A likelihood at a temperature. @throws BayesError where it has no logits */
export function temperedBy<L extends Likelihood>(where: string, likelihood: L, temperature: number): L {
  if (temperature === (likelihood.temperature ?? 1)) return likelihood;
  if (!likelihood.tempered)
    fail(where, "a likelihood of logits (categorical, bernoulli) for a temperature", likelihood.config.kind);
  const other = likelihood.tempered(temperature);
  if (other.config.kind !== likelihood.config.kind)
    // a copy that took the method with it
    fail(where, `tempered of likelihood ${likelihood.config.kind} to return one of its kind`, other.config.kind);
  return other as L;
}

const applyKinds = {
  mode: "string",
  training: "boolean",
  samples: "number",
  noise: "object",
  estimator: "string",
  frozen: "object",
};

/** Throws unless `model` is a {@link Model} that is open and, unless the caller waits for its turn, has no run under way. */
export function checkModel(where: string, model: Model, { idle = true } = {}): void {
  if (!(model instanceof Model)) fail(where, "a Model (or what createModel returns)", model);
  if (idle) model.store.checkIdle(`${where} ${model.name}`);
  else model.store.checkOpen(`${where} ${model.name}`);
}

/**
 * A model function together with its parameters on one device, and all that its predictions need: what happens to pixels,
 * and what the output means. Close it when done.
 */
export class Model<L extends Likelihood = Likelihood> {
  readonly name: string;
  readonly inputShape: readonly [number, number, number];
  /** Dimensions of the output of one example. */
  readonly outputShape: Shape;
  /** Dimensions of one example's target. */
  readonly targetShape: Shape;
  readonly store: Store;
  readonly config: Readonly<Record<string, unknown>>;
  readonly bayes: BayesSettings;
  readonly seed: number;
  /** Layers that training leaves as they are, unless `fit` is told otherwise. */
  readonly frozen: readonly string[];
  /** Whether any weight has a distribution, so that the loss has a KL term. */
  readonly bayesian: boolean;
  /** Whether predictions draw noise: for Bayesian layers, dropout that stays on, or a layer of your own. */
  readonly stochastic: boolean;
  #likelihood: L;
  #preprocess: Preprocess | undefined;
  #threshold: Threshold | undefined;
  readonly #build: (x: Tensor) => Tensor;
  readonly #widths: Widths;
  readonly #bayesianLayers: LayerChoice["bayesian"];

  /** @throws BayesError for options that make no sense, or a function whose output the likelihood cannot read */
  constructor(options: ModelOptions<L>) {
    const { classes } = (options ?? {}) as { classes?: unknown };
    if (classes !== undefined)
      fail("model", "likelihood: categorical(classes), or another likelihood, in place of classes", classes);
    const own = checkOptions<ModelOptions<L>>("model", options, {
      name: "string",
      input: "object",
      likelihood: "object|function|string|number",
      build: "function",
      preprocess: "object",
      bayes: "object",
      layers: "object",
      seed: "number",
      device: "object|string",
      config: "object",
      widths: "object",
    });
    const { name = "model", likelihood, build, preprocess, seed = 0 } = own;
    if (!name) fail("model", "a name", name);
    const where = `model ${name}`;
    if (!build) fail(where, "a function from a traced image batch to what the likelihood reads", build);
    if (!Array.isArray(own.input) || own.input.length !== 3)
      fail(where, "an input shape [height, width, channels]", own.input);
    const shape = [own.input[0], own.input[1], own.input[2]] as const;
    shape.forEach((d, i) => {
      checkInt(where, `the input's ${["height", "width", "number of channels"][i]}`, d, 1, 1 << 20);
    });
    checkLikelihood(where, likelihood);
    checkInt(where, "the seed", seed, 0);
    this.name = name;
    this.inputShape = Object.freeze(shape);
    this.seed = seed;
    this.bayes = settings(own.bayes);
    this.#widths = frozenJson(where, "widths", own.widths ?? {});
    const widths = Object.keys(this.#widths).length > 0 && { widths: this.#widths };
    const { bayesian, frozen } = checkOptions<LayerChoice>(`${where} layers`, own.layers ?? {}, {
      bayesian: "boolean|object",
      frozen: "object",
    });
    this.#bayesianLayers = typeof bayesian === "object" ? copyList(where, "layers.bayesian", bayesian) : bayesian;
    this.frozen = copyList(where, "layers.frozen", frozen ?? []);
    const layers = own.layers && { layers: { bayesian: this.#bayesianLayers, frozen: this.frozen } };
    this.config = frozenJson(where, "config", { ...(own.config ?? { name, input: [...shape] }), ...layers, ...widths });
    this.#likelihood = likelihood;
    this.#preprocess = preprocess && checkPreprocess(where, preprocess, shape[2]);
    this.#build = build;
    this.store = new Store(openDevice(own.device, where));
    try {
      ({ bayesian: this.bayesian, output: this.outputShape } = this.#initialize());
      this.stochastic = this.#draws();
      this.targetShape = Object.freeze([...likelihood.targetShape(where, this.outputShape)]);
      this.#checkLayers(where);
    } catch (error) {
      this.store.close();
      throw error;
    }
    if (new.target === Model) Object.freeze(this); // one derived from it may have fields of its own
  }

  /** Throws unless the layers that were named are there. */
  #checkLayers(where: string): void {
    const tensors = layerTensors(this.store.slots.values());
    const weighted = [...new Set(tensors.flatMap((t) => (t.role === "weight" ? [t.layer] : [])))];
    const named = typeof this.#bayesianLayers === "object" ? this.#bayesianLayers : [];
    checkLayers(where, "layers.bayesian", named, weighted);
    checkLayers(where, "layers.frozen", this.frozen, [...new Set(tensors.map((t) => t.layer))]);
  }

  /**
   * A model of the same function, meaning and device with other settings; its parameters are new.
   * @internal
   */
  like(changes: Partial<ModelOptions<L>>): Model<L> {
    return new Model<L>({
      name: this.name,
      input: this.inputShape,
      likelihood: this.#likelihood,
      build: this.#build,
      preprocess: this.#preprocess,
      bayes: this.bayes,
      seed: this.seed,
      device: this.store.device,
      config: this.config,
      widths: this.#widths,
      ...changes,
    });
  }

  /**
   * A new model of the same function and knowledge whose layers have other widths, with initial parameters.
   * @throws BayesError for a function that does not work with them
   * @internal
   */
  resized(widths: Widths): Model<L> {
    const layers = this.config.layers !== undefined && {
      layers: { bayesian: this.#bayesianLayers, frozen: this.frozen },
    };
    return this.like({ ...layers, widths: { ...this.#widths, ...widths } });
  }

  /** What the output means. Class names and the like that were not known come with the first training set. */
  get likelihood(): L {
    return this.#likelihood;
  }
  /** From which certainty on it answers instead of "I don't know"; undefined: always. `chooseThreshold` gives one. */
  get threshold(): Threshold | undefined {
    return this.#threshold;
  }
  set threshold(threshold: Threshold | undefined) {
    const where = `model ${this.name}`;
    if (threshold !== undefined && (typeof (threshold as unknown) !== "object" || (threshold as unknown) === null))
      fail(where, "a threshold from chooseThreshold, or undefined", threshold);
    const own = threshold && frozenJson(where, "threshold", threshold);
    for (const key of ["certainty", "risk", "coverage", "count"] as const)
      if (own) checkNumber(where, `the threshold's ${key}`, own[key]);
    this.#threshold = own;
  }
  /**
   * What the logits are divided by before they become probabilities; undefined where that is nothing (1). See `fitTemperature`;
   * another one takes the threshold back, which was chosen on other certainties.
   * @throws BayesError for a likelihood that has no logits
   */
  get temperature(): number | undefined {
    return this.#likelihood.temperature;
  }
  set temperature(temperature: number | undefined) {
    if (temperature === this.temperature) return;
    this.#likelihood = temperedBy(`model ${this.name}`, this.#likelihood, temperature ?? 1) as L;
    this.#threshold = undefined;
  }
  /** What happens to pixels first; undefined until it is given or the first training set has decided. */
  get preprocess(): Preprocess | undefined {
    return this.#preprocess;
  }

  /** A trace of the model's function, with the model's settings but for those given. */
  #trace<T>(options: Omit<TraceOptions, "store" | "seed" | "context">, told: LayerSettings, build: () => T) {
    const { store, seed, bayes } = this;
    const about = { bayes, bayesianLayers: this.#bayesianLayers, widths: this.#widths, ...told };
    const { value, trace } = withTrace({ store, seed, context: layerContext(about), ...options }, build);
    return { value, trace, layers: layersOf(trace) };
  }

  // One throw-away trace (of two examples: batch norm has no statistics of one) makes the parameters and the noise streams.
  #initialize(): { bayesian: boolean; output: Shape } {
    const where = `model ${this.name}`;
    const noise = { rng: input("rng", i32([4])), rows: input("rows", i32([2])) };
    const { value, trace, layers } = this.#trace({ mode: "sample", training: true, noise }, {}, () => {
      const output = this.#build(input("x", f32([2, ...this.inputShape])));
      if (!Tensor.is(output)) fail(where, "a function that returns a traced tensor", output);
      if (output.dtype !== "f32" || output.shape[0] !== 2)
        fail(where, "an output of shape [batch, ...], one row an image", [...output.shape]);
      const shape = Object.freeze(output.shape.slice(1));
      this.#likelihood.targetShape(where, shape);
      this.#likelihood.heads(output); // its own parameters
      return shape;
    });
    if (trace.parameters.size === 0)
      throw new BayesError(`[${where}] expected a model with parameters, received one without`);
    for (const layer of Object.keys(this.#widths))
      if (!layers.declared.has(layer))
        fail(where, `widths of its layers ${[...layers.declared.keys()].join(", ")}`, layer);
    return { bayesian: layers.kl.length > 0, output: value };
  }

  // Training has noise that predictions do without, so a trace as they make it has to say.
  #draws(): boolean {
    const noise = { rng: input("rng", i32([4])), rows: input("rows", i32([1])) };
    const x = input("x", f32([1, ...this.inputShape]));
    return drewNoise(this.#trace({ mode: "sample", noise }, {}, () => this.#build(x)).trace);
  }

  /**
   * Traces the model on `x`; call it inside compile().
   * @param then makes something of the output (a loss) where the likelihood's parameters count among the model's
   */
  apply<R = undefined>(x: Tensor, options: ApplyOptions, then?: (output: Tensor, likelihood: L) => R): ApplyResult<R> {
    const where = `model ${this.name}`;
    this.store.checkOpen(where);
    const { estimator, frozen = this.frozen, ...own } = checkOptions(where, options, applyKinds);
    if (own.mode === undefined) fail(where, 'mode "mean" or "sample"', own.mode);
    const bayes = estimator === undefined ? this.bayes : settings({ estimator }, this.bayes);
    const { value, trace, layers } = this.#trace(own, { bayes, frozen }, () => {
      const output = this.#build(x);
      return { output, result: then?.(output, this.#likelihood) as R };
    });
    return {
      ...value,
      resizable: new Set(layers.declared.keys()),
      kl: layers.kl.length ? layers.kl.map((k) => k.value).reduce((a, b) => add(a, b)) : undefined,
      klTerms: layers.kl,
      parameters: new Map(
        [...trace.parameters].filter(
          ([name]) => this.store.slot(name).trainable && !isAmong(layers.frozen, layerOf(name)),
        ),
      ),
    };
  }

  /** What checkpoints keep besides the weights. */
  get knowledge(): Knowledge {
    return {
      likelihood: this.#likelihood.config,
      ...(this.#preprocess ? { preprocess: this.#preprocess } : {}),
      ...(this.threshold ? { threshold: this.threshold } : {}),
    };
  }

  /**
   * Takes in what a training set or a checkpoint adds: a likelihood that agrees with the model's, preprocessing where it
   * has none. Call {@link checkKnowledge} first.
   * @internal
   */
  learn(likelihood: Likelihood, preprocess: Preprocess | undefined): void {
    this.#likelihood = likelihood as L;
    const known = this.#preprocess && preprocess && isDeepStrictEqual(this.#preprocess, preprocess);
    if (!known) this.#preprocess = preprocess && checkPreprocess(`model ${this.name}`, preprocess, this.inputShape[2]);
  }

  /** Trainable parameters, in order of creation. */
  get parameters(): readonly Slot[] {
    return [...this.store.slots.values()].filter((s) => s.trainable);
  }

  /** Number of trainable values (a Gaussian weight has two). */
  get parameterCount(): number {
    return this.parameters.reduce((sum, s) => sum + sizeOf(s.shape), 0);
  }

  close(): void {
    this.store.close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
