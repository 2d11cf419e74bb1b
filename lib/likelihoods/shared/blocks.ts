/**
 * What a likelihood says in a report, as plain data: a verdict's facts, tiles, and sections of blocks. The report draws
 * blocks and knows no likelihood; a likelihood makes blocks and knows neither HTML nor a plotting library.
 */
import type { Prediction, Targets, Threshold } from "./likelihood.ts";

/** Colours by name; the page decides what they look like in light and dark. */
export type Color = "blue" | "orange" | "green" | "purple" | "muted";

/** One figure at the top of the page. */
export interface Tile {
  readonly name: string;
  readonly title: string;
  readonly value: number;
  readonly hint: string;
  /** Shown in percent. */
  readonly share?: boolean;
  /** 95 % confidence interval of `value`, from the number of test images. */
  readonly interval?: readonly [low: number, high: number];
  /** What the baseline of the same name reaches. */
  readonly baseline?: number;
  /** Means something only where the split of the uncertainty does. */
  readonly split?: boolean;
}

export interface Headed {
  readonly title: string;
  /** One or two sentences on how to read it. */
  readonly caption: string;
}

export interface Axis {
  readonly title: string;
  readonly percent?: boolean;
  /** Only whole numbers are meant, such as epochs. */
  readonly integer?: boolean;
  /** Wanted; drawn only where the values span more than a decade. */
  readonly log?: boolean;
  readonly domain?: readonly [number, number];
}

export interface Series {
  readonly name: string;
  readonly color: Color;
  /** A line is straight between its points: nothing is smoothed. */
  readonly style: "line" | "points" | "area" | "dashed";
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** Half the length of a bar through each point. */
  readonly sigma?: readonly number[];
}

/** A point on a plot with words beside it, and a rule down to the axis. */
export interface Mark {
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

export interface Plot extends Headed {
  readonly block: "plot";
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  /** y = x, and what it means. */
  readonly diagonal?: string;
  readonly marks?: readonly Mark[];
}

/** Share that is right for each bin of confidence, (lower, upper]. */
export interface Reliability extends Headed {
  readonly block: "reliability";
  /** What is counted: "images", "labels". */
  readonly of: string;
  readonly bins: readonly {
    readonly lower: number;
    readonly upper: number;
    readonly count: number;
    readonly confidence: number;
    readonly accuracy: number;
  }[];
}

/** Groups side by side over bins [lower, upper), each group as shares of itself. */
export interface Histogram extends Headed {
  readonly block: "histogram";
  readonly x: Axis;
  readonly groups: readonly { readonly name: string; readonly color: Color; readonly count: number }[];
  readonly bins: readonly { readonly lower: number; readonly upper: number; readonly shares: readonly number[] }[];
}

/** Counts by true class (rows) and predicted class (columns). */
export interface Matrix extends Headed {
  readonly block: "matrix";
  readonly names: readonly string[];
  readonly counts: readonly (readonly number[])[];
}

export interface Column {
  readonly title: string;
  readonly format?: "text" | "share" | "count" | "figure" | "fixed";
  /** Heading over this and the columns of the same group beside it. */
  readonly group?: string;
}

export interface Table extends Headed {
  readonly block: "table";
  readonly columns: readonly Column[];
  /** null where there is nothing to say: shown as a dash. */
  readonly rows: readonly (readonly (string | number | null)[])[];
  /** Number of rows at the top that are this run's own. */
  readonly own?: number;
}

/** How a variance splits into its two parts. */
export interface Split extends Headed {
  readonly block: "split";
  readonly epistemic: number;
  readonly aleatoric: number;
}

/** A small picture that is no input: a target, a prediction, a map of variances. */
export interface Panel {
  readonly title: string;
  readonly shape: readonly number[];
  readonly pixels: Float32Array;
  /** What is drawn black, and what white. */
  readonly range: readonly [number, number];
}

/** A test image with what was said of it. */
export interface Shot {
  readonly image: number;
  readonly says: string;
  /** What it is, where `says` is wrong. */
  readonly truth?: string;
  /** Whether `says` is right; absent where neither is the word. */
  readonly right?: boolean;
  readonly detail?: string;
  /** Epistemic and aleatoric variance; `most` is a full bar. */
  readonly split?: { readonly epistemic: number; readonly aleatoric: number; readonly most: number };
  readonly panels?: readonly Panel[];
}

export interface Gallery extends Headed {
  readonly block: "gallery";
  readonly shots: readonly Shot[];
}

/** Words alone, where something is left out. */
export interface Note extends Headed {
  readonly block: "note";
}

export type Block = Plot | Reliability | Histogram | Matrix | Table | Split | Gallery | Note;

export interface Section {
  readonly title: string;
  readonly lead?: string;
  readonly blocks: readonly Block[];
}

/** A threshold on the certainty, with the risk and the coverage that it has on the test set. */
export type ShownThreshold = Omit<Threshold, "count">;

/** What a likelihood may want to know besides prediction and targets. */
export interface ReportContext {
  /** Targets of the training set, for the baseline; the test set's own are taken without (which flatters the baseline). */
  readonly training?: Targets;
  /** Whether the split into epistemic and aleatoric means something: Bayesian weights, and a training that worked. */
  readonly split: boolean;
  readonly images: boolean;
  readonly threshold?: ShownThreshold;
}

/** Whether what it claims is what it does. */
export interface Calibration {
  /** How far claims and facts are apart, as a fraction. */
  readonly error: number;
  /** Claim minus fact: above 0 it claims too much. */
  readonly gap: number;
  /** The error that a perfect model would exceed in one test set of twenty, by chance alone. */
  readonly chance: number;
  /** Half the 95 % interval of the fact: how finely a test set of this size can tell. */
  readonly resolution: number;
}

/** What is said at the top of a report. */
export interface Appraisal {
  /** What it does and what it claims, in words: the verdict before its colon. */
  readonly says: string;
  /** What leaving out the least sure does, in words. */
  readonly selective?: string;
  readonly calibration: Calibration;
  /**
   * What predicting the same for every image reaches, in figures that a training step reports too, and the same figures of
   * the test. `noise` is the standard error of their difference.
   */
  readonly baseline: {
    readonly name: string;
    readonly figures: Readonly<Record<string, number>>;
    readonly test: Readonly<Record<string, number>>;
    /** How many standard errors the test is better than the baseline, in the clearest of the figures. */
    readonly standardErrors: number;
  };
  readonly tiles: readonly Tile[];
  /** Names of the classes that have no test images. */
  readonly absent?: readonly string[];
}

/** A likelihood's part of a report. */
export interface Reporter<P extends Prediction> {
  appraise(prediction: P, targets: Targets, context: ReportContext): Appraisal;
  sections(prediction: P, targets: Targets, context: ReportContext): Section[];
}
