import { type BayesOptions, type BayesSettings, settings } from "../bayes/settings.ts";
import { cpu, type Device } from "../device.ts";
import { BayesError, checkInt, checkOptions, fail } from "../errors.ts";
import { f32, i32, sizeOf, Tensor } from "../graph/node.ts";
import { type Slot, Store } from "../graph/store.ts";
import { input, type KlTerm, type Mode, type TraceOptions, withTrace } from "../graph/trace.ts";
import { add } from "../ops/add.ts";

export interface ModelOptions {
  /** For people and files. */
  readonly name: string;
  /** [height, width, channels] of one input. */
  readonly input: readonly [number, number, number];
  readonly classes: number;
  /** The model: an ordinary function of a traced tensor [batch, height, width, channels] to logits [batch, classes]. */
  readonly build: (x: Tensor) => Tensor;
  readonly bayes?: BayesOptions;
  /** Seed of the initial parameters. */
  readonly seed?: number;
  readonly device?: Device;
  /** How to make this model again, as JSON; kept in checkpoints. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface ApplyOptions {
  readonly mode: Mode;
  /** Training-time behaviour of batch norm and dropout. */
  readonly training?: boolean;
  readonly samples?: number;
  /** Needed in mode "sample", and by dropout in training. */
  readonly noise?: TraceOptions["noise"];
}

export interface Applied {
  /** [samples * batch, classes] */
  readonly output: Tensor;
  /** KL(posterior || prior) in nats, over every weight exactly once; undefined for a model without Bayesian layers,
   * and in mode "mean" where it would have to be sampled. */
  readonly kl: Tensor | undefined;
  readonly klTerms: readonly KlTerm[];
  /** The trainable leaves, by name. */
  readonly parameters: ReadonlyMap<string, Tensor>;
}

/** Throws unless `model` is a {@link Model} that is open and, unless the caller waits for its turn, has no run under way. */
export function checkModel(where: string, model: Model, { idle = true } = {}): void {
  if (!(model instanceof Model)) fail(where, "a Model (or what createModel returns)", model);
  if (idle) model.store.checkIdle(`${where} ${model.name}`);
  else model.store.checkOpen(`${where} ${model.name}`);
}

/** A model function together with its parameters on one device. Close it when done. */
export class Model {
  readonly name: string;
  readonly inputShape: readonly [number, number, number];
  readonly classes: number;
  readonly store: Store;
  readonly config: Readonly<Record<string, unknown>>;
  readonly bayes: BayesSettings;
  readonly seed: number;
  /** Whether any layer is stochastic. */
  readonly bayesian: boolean;
  readonly #build: (x: Tensor) => Tensor;

  /** @throws BayesError for options that make no sense, or a function that does not give [batch, classes] */
  constructor(options: ModelOptions) {
    checkOptions("model", options, {
      name: "string",
      input: "object",
      classes: "number",
      build: "function",
      bayes: "object",
      seed: "number",
      device: "object",
      config: "object",
    });
    const { name, input: shape, classes, build, seed = 0 } = options;
    if (!name) fail("model", "a name", name);
    if (!build) fail(`model ${name}`, "a function from a traced image batch to logits", build);
    if (!Array.isArray(shape) || shape.length !== 3)
      fail(`model ${name}`, "an input shape [height, width, channels]", shape);
    shape.forEach((d, i) => {
      checkInt(`model ${name}`, `the input's ${["height", "width", "number of channels"][i]}`, d, 1, 1 << 20);
    });
    checkInt(`model ${name}`, "the number of classes", classes, 1, 1 << 20);
    checkInt(`model ${name}`, "the seed", seed, 0);
    this.name = name;
    this.inputShape = shape;
    this.classes = classes;
    this.seed = seed;
    this.bayes = settings(options.bayes);
    this.config = options.config ?? { name, input: shape, classes };
    this.#build = build;
    this.store = new Store(options.device ?? cpu());
    try {
      this.bayesian = this.#initialise();
    } catch (error) {
      this.store.close();
      throw error;
    }
  }

  // One throw-away trace (of two examples: batch norm has no statistics of one) makes the parameters and the noise streams.
  #initialise(): boolean {
    const noise = { rng: input("rng", i32([4])), rows: input("rows", i32([2])) };
    const { value, trace } = withTrace(
      { store: this.store, mode: "sample", training: true, noise, seed: this.seed, bayes: this.bayes },
      () => this.#build(input("x", f32([2, ...this.inputShape]))),
    );
    if (!(value instanceof Tensor)) fail(`model ${this.name}`, "a function that returns a traced tensor", value);
    if (value.shape.length !== 2 || value.shape[1] !== this.classes)
      fail(`model ${this.name}`, `an output of shape [batch, ${this.classes}]`, value.shape);
    if (trace.parameters.size === 0)
      throw new BayesError(`[model ${this.name}] expected a model with parameters, received one without`);
    return trace.kl.length > 0;
  }

  /** Traces the model on `x`; call it inside compile(). */
  apply(x: Tensor, options: ApplyOptions): Applied {
    this.store.checkOpen(`model ${this.name}`);
    if (options?.mode !== "mean" && options?.mode !== "sample")
      fail(`model ${this.name}`, 'mode "mean" or "sample"', options?.mode);
    if (options.samples !== undefined) checkInt(`model ${this.name}`, "samples", options.samples, 1, 65536);
    const { value, trace } = withTrace({ store: this.store, seed: this.seed, bayes: this.bayes, ...options }, () =>
      this.#build(x),
    );
    return {
      output: value,
      kl: trace.kl.length ? trace.kl.map((k) => k.value).reduce((a, b) => add(a, b)) : undefined,
      klTerms: trace.kl,
      parameters: new Map([...trace.parameters].filter(([name]) => this.store.slot(name).trainable)),
    };
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
