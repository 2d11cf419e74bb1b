import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import type { Appraisal } from "../../lib/likelihoods/shared/blocks.ts";
import type { HistoryPoint } from "../../lib/report/data.ts";
import { diagnosisOf, splitMeans } from "../../lib/report/diagnosis.ts";
import {
  CALIBRATION_TOLERANCE,
  FEW_STEPS,
  judge,
  KL_DOMINATES,
  KL_SKILL,
  LEAST_SKILL,
  LEAST_STANDARD_ERRORS,
  OVERFITTING_GAP,
  skillOf,
  TOO_FEW,
  UNDER_FITTED,
} from "../../lib/report/verdict.ts";

const { figures } = categorical(10);

/** Ten classes of one size: the baseline is right one time in ten. */
function appraisal(
  accuracy: number,
  more: Partial<Appraisal["calibration"]> & { standardErrors?: number } = {},
): Appraisal {
  const { standardErrors = 50, error = 0, gap = 0, chance = 0.01, resolution = 0.01 } = more;
  return {
    says: "It says",
    selective: "half says",
    calibration: { error, gap, chance, resolution },
    baseline: { name: "always “1”", figures: { accuracy: 0.1 }, test: { accuracy }, standardErrors },
    tiles: [],
  };
}

const point = (
  accuracy: number,
  { nll = 0.5, kl = 0, valid, step = 999 }: { nll?: number; kl?: number; valid?: number; step?: number } = {},
): HistoryPoint => ({
  step,
  epoch: 0,
  nll,
  loss: nll + kl,
  kl: kl * 1000,
  metrics: { accuracy },
  ...(valid === undefined ? {} : { valid: { accuracy: valid, nll } }),
});

const of = (a: Appraisal, history: HistoryPoint[] = [], tested?: number) =>
  judge({ appraisal: a, metrics: { nll: 0.5 }, figures, history, tested });

/** Accuracy of a skill. */
const at = (skill: number) => 0.1 + 0.9 * skill;
const EPS = 1e-6;

describe("verdict on confidence", () => {
  it("says what it does, and whether that is what it claims", () => {
    expect(of(appraisal(0.9))).toMatchObject({
      sentence: "It says: as sure as it should be; half says.",
      failed: false,
      confidence: "as sure as it should be",
    });
    expect(of(appraisal(0.9, { error: 0.1, gap: 0.1 })).sentence).toBe("It says: over-confident; half says.");
    expect(of(appraisal(0.9, { error: 0.1, gap: -0.1 })).confidence).toBe("under-confident");
    expect(of(appraisal(0.9, { error: 0.1, gap: 0.01 })).confidence).toBe("uneven");
  });

  it("forgives what chance, or nobody's decision, explains, and nothing above", () => {
    const large = (error: number, chance: number, resolution = 0) =>
      of(appraisal(0.9, { error, gap: error, chance, resolution })).confidence;
    expect(large(CALIBRATION_TOLERANCE, 0)).toBe("as sure as it should be");
    expect(large(CALIBRATION_TOLERANCE + EPS, 0)).toBe("over-confident");
    expect(large(0.08, 0.08)).toBe("as sure as it should be");
    expect(large(0.08 + EPS, 0.08)).toBe("over-confident");
    expect(large(0, 0.1, TOO_FEW)).toBe("as sure as it should be");
    expect(large(0, 0.1, TOO_FEW + EPS)).toBe("too few images to tell");
    expect(large(0.3, 0.1, TOO_FEW + EPS)).toBe("over-confident"); // even a small test set shows a large error
  });
});

describe("verdict on training that failed", () => {
  it("a model that is no better than its baseline", () => {
    expect(of(appraisal(at(LEAST_SKILL + EPS))).failed).toBe(false);
    const v = of(appraisal(at(LEAST_SKILL - EPS)));
    expect(v).toMatchObject({ failed: true, cause: "unknown" });
    expect(v.sentence).toMatch(
      /^Training failed: it is hardly better than a guess \(accuracy 14\.5 % against 10\.0 % for always “1”\); try/,
    );
    expect(v.confidence).toBeUndefined();
  });

  it("a lead over the baseline that may be luck, unless training has one too", () => {
    const lucky = (standardErrors: number, training: number) =>
      of(appraisal(at(0.2), { standardErrors }), [point(at(training))]).failed;
    expect(lucky(LEAST_STANDARD_ERRORS - EPS, 0.02)).toBe(true);
    expect(lucky(LEAST_STANDARD_ERRORS, 0.02)).toBe(false);
    expect(lucky(LEAST_STANDARD_ERRORS - EPS, 0.3)).toBe(false);
    expect(of(appraisal(at(0.2), { standardErrors: 1 })).failed).toBe(false); // nothing is known of its training
  });

  it("a KL term that outweighs the fit, while little was learned", () => {
    const heavy = (kl: number, skill: number, nll = 2) => of(appraisal(at(skill)), [point(at(skill), { kl, nll })]);
    expect(heavy(2 * KL_DOMINATES + EPS, KL_SKILL - EPS)).toMatchObject({ failed: true, cause: "kl" });
    expect(heavy(2 * KL_DOMINATES - EPS, KL_SKILL - EPS).failed).toBe(false);
    expect(heavy(2 * KL_DOMINATES + EPS, KL_SKILL + EPS).failed).toBe(false);
    expect(heavy(100, 0.95, 0.02).failed).toBe(false); // a good fit has paid for its KL
    expect(heavy(KL_DOMINATES - EPS, 0.2, 0.01).failed).toBe(false); // never less than one nat is the scale
    expect(heavy(100, 0.1).sentence).toBe(
      "Training failed: it is under-fitted (accuracy 19.0 % against 10.0 % for always “1”); the KL term of 100 nats an image outweighs the fit (NLL 2): lower beta, or train longer.",
    );
    expect(heavy(100, 0.01).sentence).toMatch(/it is hardly better than a guess .* lower beta/);
    expect(heavy(3, 0.01)).toMatchObject({ failed: true, cause: "kl" }); // above the NLL, and nothing learned
    expect(heavy(1, 0.01)).toMatchObject({ failed: true, cause: "epochs" });
  });

  it("training images learned by heart", () => {
    const gap = (fit: number, held: number, valid?: number) => of(appraisal(at(held)), [point(at(fit), { valid })]);
    expect(gap(0.9, 0.9 - OVERFITTING_GAP + EPS).failed).toBe(false);
    const v = gap(0.9, 0.9 - OVERFITTING_GAP - EPS);
    expect(v).toMatchObject({ failed: true, cause: "overfitting" });
    expect(v.sentence).toMatch(/by heart \(accuracy 91\.0 % in training, 68\.5 % in the test\)/);
    expect(gap(0.9, 0.2, at(0.3)).sentence).toMatch(/by heart/);
    expect(gap(0.9, 0.2, at(0.88)).sentence).toMatch(/the two sets differ/);
    expect(gap(0.99, 0.01).cause).toBe("overfitting"); // comes before "no better than a guess"
  });

  it("has not failed where what it has not seen surprises it less than the baseline", () => {
    const surprised = (nll: number) =>
      of(
        {
          ...appraisal(0.4),
          baseline: {
            name: "b",
            figures: { accuracy: 0.1, nll: 2.3 },
            test: { accuracy: 0.4, nll },
            standardErrors: 9,
          },
        },
        [point(0.8)],
      );
    expect(surprised(2.25)).toMatchObject({ failed: true, cause: "overfitting" });
    expect(surprised(1.8)).toMatchObject({
      failed: false,
      byHeart: "accuracy 80.0 % in training, 40.0 % in the test",
    });
  });

  it("looks at the epoch whose weights were tested", () => {
    const history = [point(at(0.6)), point(at(0.99))];
    expect(of(appraisal(at(0.6)), history).cause).toBe("overfitting");
    expect(of(appraisal(at(0.6)), history, 0).failed).toBe(false);
  });

  it("names the likely cause when nothing was learned", () => {
    const cause = (history: HistoryPoint[]) => of(appraisal(0.1), history).cause;
    expect(cause([point(0.1, { nll: 2.3 })])).toBe("epochs");
    expect(cause(Array.from({ length: 20 }, () => point(0.1, { nll: 2.3, step: 99 })))).toBe("epochs");
    expect(cause(Array.from({ length: 20 }, () => point(0.1, { nll: 2.3 })))).toBe("unknown");
    expect(cause([point(0.1, { nll: 2.3 }), point(0.1, { nll: 9 })])).toBe("learning rate");
    expect(judge({ appraisal: appraisal(0.9), metrics: { nll: Number.NaN }, figures }).cause).toBe("diverged");
  });

  it("numbers: errors are better when lower, and the NLL may be below zero", () => {
    const about = (mse: number, nll: number, kl: number) =>
      judge({
        appraisal: {
          ...appraisal(0),
          baseline: { name: "the mean", figures: { mse: 4 }, test: { mse }, standardErrors: 9 },
        },
        metrics: { nll },
        figures: gaussian().figures,
        history: [{ step: 1, nll, loss: nll + kl, kl: 1, metrics: { mse } }],
      });
    expect(about(1, -5, 2).failed).toBe(false);
    expect(about(3.9, 0.1, 0)).toMatchObject({ failed: true });
    expect(about(3.5, -5, 16)).toMatchObject({ failed: true, cause: "kl" });
    expect(about(3.5, -5, 14).failed).toBe(false);
    expect(about(5, 0.1, 0).sentence).toMatch(/MSE 5 against 4 for the mean/);
  });
});

describe("skill", () => {
  it("is 0 at the baseline, 1 at perfect, and says nothing where the baseline is perfect", () => {
    expect(skillOf({ accuracy: 0.1 }, { accuracy: 0.1 }, figures)).toBeCloseTo(0, 12);
    expect(skillOf({ accuracy: 1 }, { accuracy: 0.1 }, figures)).toBe(1);
    expect(skillOf({ nll: 0 }, { nll: 2.3 }, figures)).toBe(1);
    expect(skillOf({ accuracy: 1 }, { accuracy: 1 }, figures)).toBeUndefined();
    expect(skillOf({ accuracy: 1, nll: 1 }, { accuracy: 1, nll: 2 }, figures)).toBe(0.5);
    expect(skillOf({}, { accuracy: 0.1 }, figures)).toBeUndefined();
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (base, value) => {
          const skill = skillOf({ accuracy: value }, { accuracy: base }, figures)!;
          expect(skill > 0).toBe(value > base);
          expect(skill).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});

describe("a diagnosis", () => {
  const diagnosed = (a: Appraisal, history: HistoryPoint[], split = true) => {
    const verdict = of(a, history);
    return { verdict, said: diagnosisOf(verdict, a, { split, record: history.at(-1) }) };
  };
  /** Words that would blame the images. */
  const blame = /unclear|more (training )?data would/;

  it("begins with the verdict, and adds nothing where all went well", () => {
    const { verdict, said } = diagnosed(appraisal(0.9), [point(0.92)]);
    expect(said).toEqual([verdict.sentence]);
    expect(splitMeans(verdict)).toBe(true);
  });

  it("of few steps, and of a KL term that outweighs the fit, says so and not that the images are unclear", () => {
    const of1 = (skill: number, more: Parameters<typeof point>[1]) =>
      diagnosed(appraisal(at(skill)), [point(at(skill), more)]);
    const short = of1(0.4, { step: 104 });
    expect(short.verdict).toMatchObject({ failed: false, underFitted: true });
    expect(short.said[1]).toBe(
      "It is under-fitted: after 105 steps it has learned 40 % of what its own training images have to teach: more epochs, or a smaller batch.",
    );
    expect(short.said[2]).toMatch(/How its uncertainty splits means nothing yet/);
    expect(splitMeans(short.verdict)).toBe(false);
    const apart = diagnosed(appraisal(at(0.4)), [point(at(0.55), { step: 104 })]);
    expect(apart.verdict.underFitted).toBeUndefined(); // it has begun to learn its training images by heart
    const heavy = of1(0.4, { kl: 14, nll: 1.85 });
    expect(heavy.said[1]).toMatch(
      /the KL term of 14 nats an image outweighs the fit \(NLL 1\.85\).*lower beta, or train longer/,
    );
    const failed = of1(0.01, { kl: 14, nll: 2.3 });
    expect(failed.verdict.failed).toBe(true);
    expect(failed.said[1]).toMatch(/means nothing then/);
    for (const { said } of [short, heavy, failed]) expect(said.join(" ")).not.toMatch(blame);
    expect(of1(UNDER_FITTED + EPS, { step: 104 }).verdict.underFitted).toBeUndefined();
    expect(of1(UNDER_FITTED - EPS, { step: FEW_STEPS - 1 }).verdict.underFitted).toBeUndefined();
    expect(of1(UNDER_FITTED - EPS, { step: FEW_STEPS - 2 }).verdict.underFitted).toBe(true);
    expect(of1(0.4, {}).verdict.underFitted).toBeUndefined(); // it may be all that there is to learn
  });

  it("names classes without test images, says what mends over-confidence, and ends after three sentences", () => {
    const sure = { ...appraisal(0.9, { error: 0.1, gap: 0.1 }), absent: ["elk", "fox"] };
    const { said } = diagnosed(sure, [point(0.92)]);
    expect(said[1]).toMatch(/no test images of elk, fox: nothing is known of them/);
    expect(said[2]).toMatch(/evaluate --temperature/);
    const all = { ...appraisal(at(0.4), { error: 0.1, gap: 0.1 }), absent: ["elk", "fox"] };
    expect(diagnosed(all, [point(at(0.4), { step: 50 })]).said).toHaveLength(3);
    expect(diagnosed(all, [point(at(0.4), { step: 50 })], false).said.join()).not.toMatch(/epistemic/);
    const names = Array.from({ length: 9 }, (_, i) => `c${i}`);
    expect(diagnosed({ ...sure, absent: names }, []).said[1]).toMatch(/of c0, c1, c2, c3 and 5 more: nothing/);
  });
});
