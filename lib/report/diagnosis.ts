/**
 * What to say at the end of a training, in at most three sentences: the verdict, what is wrong, and what to do about it. It is
 * about the training and never about the images while the training may be to blame.
 */
import type { Appraisal } from "../likelihoods/shared/blocks.ts";
import { figure, percent } from "../util/figures.ts";
import type { HistoryPoint } from "./data.ts";
import { FEW_STEPS, type Verdict } from "./verdict.ts";

/** Sentences of a diagnosis. */
const MOST = 3;

/** Whether the split into epistemic and aleatoric says anything about the images. */
export const splitMeans = ({ failed, underFitted }: Verdict): boolean => !failed && !underFitted;

/** What follows from a verdict. @param record the epoch whose weights were tested */
export function diagnosisOf(
  verdict: Verdict,
  { absent = [] }: Appraisal,
  { split, record }: { readonly split: boolean; readonly record?: HistoryPoint },
): string[] {
  const { sentence, failed, underFitted, byHeart, confidence, trainingSkill = 0, klTerm } = verdict;
  const said = [sentence];
  if (underFitted) {
    const steps = record!.step + 1;
    const why =
      steps < FEW_STEPS
        ? `after ${steps} steps it has learned ${percent(trainingSkill, 0)} of what its own training images have to teach: more epochs, or a smaller batch`
        : `the KL term of ${figure(klTerm!)} nats an image outweighs the fit (NLL ${figure(record!.nll!)}), which has learned ${percent(trainingSkill, 0)} of what its own training images have to teach: lower beta, or train longer`;
    said.push(`It is under-fitted: ${why}.`);
  }
  if (split && !splitMeans(verdict))
    said.push(
      `How its uncertainty splits means nothing ${failed ? "then" : "yet"}: epistemic and aleatoric are about the images only once the model has learned from them.`,
    );
  if (byHeart)
    said.push(
      `It knows its training images far better than others (${byHeart}): more images help most, or augmented ones.`,
    );
  if (absent.length > 0)
    said.push(
      `There are no test images of ${listed(absent)}: nothing is known of ${absent.length > 1 ? "them" : "it"}, and the figures are those of the other classes.`,
    );
  if (!failed && confidence === "over-confident")
    said.push(
      "What it claims can be put right on validation images: for classes by evaluate --temperature (fitTemperature), for numbers by intervals of evaluate --conformal 0.9 (conformal).",
    );
  return said.slice(0, MOST);
}

const listed = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(", ");
