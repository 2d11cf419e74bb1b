/**
 * The first sentence of a report. Has training worked at all? If not, that comes first, with the likely cause and what to
 * do. Else: what the model does, what it claims, and whether the two fit. All thresholds are here.
 */
import type { Appraisal } from "../likelihoods/shared/blocks.ts";
import type { Figure, Quality } from "../likelihoods/shared/likelihood.ts";
import { figure, percent } from "../util/figures.ts";
import type { HistoryPoint } from "./data.ts";

export interface Verdict {
  /** In plain words. */
  readonly sentence: string;
  /** Whether training failed: then its uncertainty explains nothing. */
  readonly failed: boolean;
  /** Why training failed, as far as the figures tell. */
  readonly cause?: "diverged" | "kl" | "overfitting" | "learning rate" | "epochs" | "unknown";
  /** Whether it has not even learned the training images, though more than nothing: its doubt is about itself. */
  readonly underFitted?: true;
  /** In words, that it knows its training images far better than the test's, and is of use all the same. */
  readonly byHeart?: string;
  /** How sure it is beside how sure it should be; absent where training failed. */
  readonly confidence?:
    | "over-confident"
    | "under-confident"
    | "uneven"
    | "as sure as it should be"
    | "too few images to tell";
  /**
   * How much of the way from the baseline (0) to perfect (1) the model goes, on the test set and in training, in the figure
   * where it goes furthest.
   */
  readonly skill?: number;
  readonly trainingSkill?: number;
  /** The weighted KL term of the objective, nats per image. */
  readonly klTerm?: number;
}

type Cause = NonNullable<Verdict["cause"]>;
type Confidence = NonNullable<Verdict["confidence"]>;

/**
 * Below a twentieth of the way from the baseline to perfect, nothing worth the name has been learned, however significant
 * a large test set makes it: of ten classes, that is 14.5 % right instead of 10 %.
 */
export const LEAST_SKILL = 0.05;

/** Fewer standard errors than these above the baseline can be luck (one test in forty). */
export const LEAST_STANDARD_ERRORS = 2;

/**
 * A KL term above so many NLLs dominates the objective. The labels of an image can be worth no more nats than the
 * baseline's NLL; where the weights cost three times what is left of it, going back to the prior pays better than fitting.
 * The scale is at least one nat: an NLL near zero is a fit that went well, and densities of numbers go below it.
 */
export const KL_DOMINATES = 3;

/** That matters only while little has been learned: a fit that got a quarter of the way has paid for its KL. */
export const KL_SKILL = 0.25;

/**
 * When a quarter of everything there is to learn was learned about the training images only, it learned them by heart.
 * Ordinary gaps are smaller: 95 % in training and 80 % in the test, of ten classes, are 0.17 apart.
 */
export const OVERFITTING_GAP = 0.25;

/** Calibration errors up to two points change no decision, even where a large test set makes them significant. */
export const CALIBRATION_TOLERANCE = 0.02;

/** A test set that does not know its own share of right answers to ten points has nothing to say about calibration. */
export const TOO_FEW = 0.1;

/**
 * A fit that explains less than this much of the training images themselves is under-fitted, if it is plain what kept it back:
 * a KL term that dominates, or few steps. More than that, it may be all that there is to learn; and a model that knows its
 * training images better than the test's by this much has begun to learn them by heart.
 */
export const UNDER_FITTED = 0.6;
const UNDER_FITTED_GAP = 0.1;
/** So few steps are few for any network: Adam moves a weight by the learning rate in one, 0.002, and they are about 0.1. */
export const FEW_STEPS = 300;

/** This far above the baseline's NLL (or above where it began), training has run away instead of converging. */
const RUN_AWAY = 1.5;
/** With fewer epochs than this and the NLL still falling, it was simply stopped early. */
const FEW_EPOCHS = 5;

export interface Evidence {
  readonly appraisal: Appraisal;
  /** of the test set */
  readonly metrics: Quality;
  /** which way the likelihood's figures are better */
  readonly figures: readonly Figure[];
  readonly history?: readonly HistoryPoint[];
  /** index of the epoch whose weights were tested; the last unless given */
  readonly tested?: number;
}

/** Judges a run. */
export function judge(evidence: Evidence): Verdict {
  const { appraisal, figures, history = [] } = evidence;
  const { figures: baseline, test, standardErrors } = appraisal.baseline;
  const record = history[evidence.tested ?? history.length - 1];
  const training: Quality | undefined = record && {
    ...record.metrics,
    ...(record.nll === undefined ? {} : { nll: record.nll }),
  };
  const skill = skillOf(test, baseline, figures);
  const trainingSkill = training && skillOf(training, baseline, figures);
  const klTerm = klTermOf(record);
  const about = { skill, trainingSkill, klTerm };
  const failed = (cause: Cause, why: string): Verdict => ({
    sentence: `Training failed: ${why}.`,
    failed: true,
    cause,
    ...defined(about),
  });

  if (![...Object.values(test), evidence.metrics.nll ?? 0].every(Number.isFinite))
    return failed(
      "diverged",
      "its figures are not finite numbers; it diverged: lower the learning rate, or clip gradients",
    );

  const main = Object.keys(baseline)[0];
  const compared = `${comparison(main, test, baseline, figures)} for ${appraisal.baseline.name}`;
  const own = (values: Quality | undefined) => values && skillOf(only(values, main), baseline, figures);
  const [fit, held, valid] = [own(training), own(test), own(record?.valid)];
  const gap = fit !== undefined && held !== undefined ? fit - held : 0;
  const inTraining =
    gap > 0
      ? `${words(main, training![main], figures)} in training, ${amount(main, test[main], figures)} in the test`
      : "";
  // who is less surprised than the baseline by what he has not seen has learned more than his training images
  const useful = baseline.nll - test.nll > LEAST_SKILL * Math.abs(baseline.nll);
  if (fit !== undefined && gap > OVERFITTING_GAP && !useful) {
    // validation images come from where the training images come from
    if (valid !== undefined && fit - valid <= OVERFITTING_GAP)
      return failed(
        "overfitting",
        `what it learned does not carry over to the test set (${inTraining}) although it does to the validation images; the two sets differ: look at how the test images were made`,
      );
    return failed(
      "overfitting",
      `it learned the training images by heart (${inTraining}): more or augmented data, early stopping, a larger beta or a smaller network`,
    );
  }

  const nothing =
    skill !== undefined &&
    (skill < LEAST_SKILL ||
      (standardErrors < LEAST_STANDARD_ERRORS && trainingSkill !== undefined && trainingSkill < 2 * LEAST_SKILL));
  const guess = `it is ${skill! > 0 ? "hardly" : "no"} better than a guess`; // the figures that follow must not deny it
  const scale = Math.max(1, Math.abs(record?.nll ?? 0));
  const heavy = klTerm !== undefined && klTerm > KL_DOMINATES * scale;
  const kl = () =>
    `the KL term of ${figure(klTerm!)} nats an image outweighs the fit (NLL ${figure(record!.nll!)}): lower beta, or train longer`;
  if (heavy && (trainingSkill ?? skill ?? 1) < KL_SKILL)
    return failed("kl", `${nothing ? guess : "it is under-fitted"} (${compared}); ${kl()}`);
  if (nothing) {
    const begin = `${guess} (${compared})`;
    if (klTerm !== undefined && klTerm > scale) return failed("kl", `${begin}; ${kl()}`);
    const [cause, why] = slow(history, baseline.nll);
    return failed(cause, `${begin}; ${why}`);
  }

  const confidence = confidenceOf(appraisal);
  const { says, selective } = appraisal;
  const short = record !== undefined && record.step + 1 < FEW_STEPS;
  const underFitted =
    trainingSkill !== undefined && trainingSkill < UNDER_FITTED && gap < UNDER_FITTED_GAP && (heavy || short);
  return {
    sentence: `${says}: ${CONFIDENCE[confidence]}${selective ? `; ${selective}` : ""}.`,
    failed: false,
    ...(underFitted ? { underFitted } : {}),
    ...(gap > OVERFITTING_GAP ? { byHeart: inTraining } : {}),
    confidence,
    ...defined(about),
  };
}

const CONFIDENCE: Readonly<Record<Confidence, string>> = {
  "over-confident": "over-confident",
  "under-confident": "under-confident",
  uneven: "over-confident on some images and under-confident on others",
  "as sure as it should be": "as sure as it should be",
  "too few images to tell": "too few test images to say whether it is as sure as it should be",
};

/** How sure it is beside how sure it should be, given the noise of a test set of this size. */
function confidenceOf({ calibration: { error, gap, chance, resolution } }: Appraisal): Confidence {
  if (error <= Math.max(chance, CALIBRATION_TOLERANCE))
    return resolution > TOO_FEW ? "too few images to tell" : "as sure as it should be";
  // where the gaps of sure and of unsure answers cancel, neither word fits
  if (gap > error / 2) return "over-confident";
  if (gap < -error / 2) return "under-confident";
  return "uneven";
}

/** The likeliest reason why nothing was learned, when it was not the KL term. */
function slow(history: readonly HistoryPoint[], baselineNll: number | undefined): [Cause, string] {
  const losses = history.map((h) => h.nll).filter((v): v is number => v !== undefined && Number.isFinite(v));
  const [first, last] = [losses[0], losses[losses.length - 1]];
  const away =
    last !== undefined &&
    ((baselineNll !== undefined && last > RUN_AWAY * baselineNll) ||
      (losses.length > 1 && last > first + Math.abs(first) * (RUN_AWAY - 1)));
  if (away) return ["learning rate", "its NLL has run away instead of falling: lower the learning rate"];
  if (history.length > 0 && history.length < FEW_EPOCHS)
    return [
      "epochs",
      `${history.length === 1 ? "one epoch is" : `${history.length} epochs are`} not enough at this learning rate: more epochs, or a higher rate`,
    ];
  const steps = (history[history.length - 1]?.step ?? FEW_STEPS) + 1;
  if (steps < FEW_STEPS) return ["epochs", `${steps} steps are few: more epochs, or a smaller batch`];
  return [
    "unknown",
    "try a higher learning rate or more epochs; if neither helps, look whether the targets belong to the images",
  ];
}

/** The weighted KL term, nats per image: what the objective has beside the NLL. */
function klTermOf(record: HistoryPoint | undefined): number | undefined {
  if (record?.kl === undefined || record.loss === undefined || record.nll === undefined) return undefined;
  const term = record.loss - record.nll;
  return Number.isFinite(term) ? term : undefined;
}

/**
 * How far from the baseline to perfect, in the figure in which it goes furthest: 0 no better, 1 perfect. A share is perfect
 * at 1 where more is better; an error, or a surprise, at 0. A figure in which the baseline is perfect says nothing.
 */
export function skillOf(values: Quality, baseline: Quality, figures: readonly Figure[]): number | undefined {
  const skills = Object.keys(baseline).flatMap((name) => {
    const perfect = figures.find((f) => f.name === name)?.better === "higher" ? 1 : 0;
    const [value, base] = [values[name], baseline[name]];
    if (!Number.isFinite(value) || Math.abs(base - perfect) < 1e-12) return [];
    return [(base - value) / (base - perfect)];
  });
  return skills.length > 0 ? Math.max(...skills) : undefined;
}

const only = (values: Quality, name: string): Quality => (values[name] === undefined ? {} : { [name]: values[name] });

/** "12.1 %" */
const amount = (name: string, value: number, figures: readonly Figure[]): string =>
  figures.find((f) => f.name === name)?.share ? percent(value, 1) : figure(value);

/** "accuracy 12.1 %" */
const words = (name: string, value: number, figures: readonly Figure[]): string =>
  `${figures.find((f) => f.name === name)?.title ?? name.toUpperCase()} ${amount(name, value, figures)}`;

/** "accuracy 12.1 % against 11.4 %" */
const comparison = (name: string, test: Quality, baseline: Quality, figures: readonly Figure[]): string =>
  `${words(name, test[name], figures)} against ${amount(name, baseline[name], figures)}`;

const defined = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, v]) => v !== undefined)) as Partial<T>;
