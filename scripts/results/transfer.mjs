import { count, fixed, grouped, madeOn, over, percent, table } from "./kit.mjs";

const STARTS = {
  "nothing-frequentist": "from nothing, frequentist",
  "nothing-bayesian": "from nothing, Bayesian",
  "pretrained-frequentist": "pretrained, frequentist",
  "pretrained-head": "pretrained, Bayesian head (the rest frozen)",
  "pretrained-moped": "pretrained, Bayesian throughout (MOPED)",
};
const startOf = ({ unit }) => Object.keys(STARTS).find((start) => unit.includes(start));

export async function section(results) {
  const before = results.find((r) => r.settings.data === "cifar-100");
  const tuned = results.filter((r) => r !== before);
  if (tuned.length === 0) return "";
  const groups = grouped(tuned, (r) => `${r.settings.images}/${startOf(r)}`);
  const sizes = [...new Set(tuned.map((r) => r.settings.images))].sort((a, b) => a - b);
  const rows = sizes.flatMap((images) =>
    Object.entries(STARTS).flatMap(([start, title]) => {
      const runs = groups.get(`${images}/${start}`) ?? [];
      const of = (name, format) =>
        over(
          runs.map((r) => r.figures[name]),
          format,
        );
      return runs.length === 0
        ? []
        : [
            [
              title,
              count(images),
              of("accuracy", (x) => percent(x, 1)),
              of("nll", (x) => fixed(x, 3)),
              of("ece", (x) => fixed(x, 3)),
              runs.length,
            ],
          ];
    }),
  );
  const epochs = sizes.map((images) => {
    const { settings } = tuned.find((r) => r.settings.images === images);
    return `${count(images)} images for ${settings.epochs} epochs`;
  });
  return `
An AlexNet with ReLU, trained on the 50,000 images of CIFAR-100 for ${before.settings.epochs} epochs (${percent(before.figures.accuracy, 1)} of its test images right), is brought to CIFAR-10
with a new last layer, and trained on ${epochs.join(", ")} in batches of ${tuned[0].settings.batchSize}, shifted and flipped. The test is on all 10,000 test images, Bayesian nets with ${Math.max(...tuned.map((r) => r.settings.samples))} samples.
Nobody has tuned rates or epochs for one of the rows, and a net from nothing would gain by more epochs. The KL term is weighed as \`fit\` does on so few images.

${table(["begins", "images", "accuracy", "NLL", "ECE", "seeds"], rows)}

${madeOn(results)}.
`;
}
