/** What an experiment is: units, each of which gives one file of figures. The runner knows nothing else of them. */
import type { Json } from "../../checkpoints/state.ts";
import type { TrainTest } from "../../data/dataset.ts";
import type { DatasetName } from "../../data/locate.ts";

export interface JsonObject {
  readonly [name: string]: Json;
}

export interface Experiment {
  /** As the command line calls it. */
  readonly name: string;
  /** Heading of its section in docs/results.md. */
  readonly title: string;
  /** One line for people. */
  readonly summary: string;
  /** All there is to compute, in order. */
  units(options: UnitOptions): readonly Unit[];
}

export interface UnitOptions {
  /** Less than a minute each, on {@link standIn} data: the same code, and figures that say nothing. */
  readonly quick: boolean;
  /** The first seed; further ones follow it. */
  readonly seed: number;
}

export interface Unit {
  /** Name of its file of figures, as "mnist-lenet5-bayesian-1". */
  readonly name: string;
  /** All that decides the figures: model, data, epochs, seed, … Figures of other settings are computed anew. */
  readonly settings: JsonObject;
  /** Units that it reads figures or files of: of the same experiment, or as "experiment/unit". */
  readonly needs?: readonly string[];
  /** About how long it takes on one core, for the time left. */
  readonly minutes: number;
  /** Computes the figures: finite numbers and short lists, no paths. */
  run(work: Work): Promise<JsonObject>;
}

/** What a unit works with. */
export interface Work {
  /** Its own folder, which a kill survives: what lies there from a stopped attempt is gone on with. */
  readonly dir: string;
  readonly quick: boolean;
  readonly signal: AbortSignal;
  /** Whether to draw progress. */
  readonly progress: boolean;
  /** Where data sets are looked for. */
  readonly dataDir: string | undefined;
  /** Prints a sentence. */
  say(sentence: string): void;
  /** A data set, read once a process; in a quick run its {@link standIn}. */
  data(name: DatasetName): Promise<TrainTest>;
  /** Writes a file beside the figures, such as a picture: `<unit>-<name>`. */
  file(name: string, bytes: Uint8Array): void;
  /** The folder of a unit that it needs. */
  dirOf(unit: string): string;
  /** The figures of a unit that it needs. */
  figuresOf(unit: string): JsonObject;
}
