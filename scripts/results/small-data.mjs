import { count, fixed, grouped, madeOn, over, percent, table } from "./kit.mjs";

const DATA = { mnist: "MNIST", "cifar-10": "CIFAR-10" };
const NETS = { lenet5: "LeNet-5", alexnet: "AlexNet" };
const KINDS = ["Bayesian, few images", "frequentist twin", "Bayesian, many images"];

/** Which of the three recipes; a size at which few and many are the same has two. */
function kindOf({ settings: { bayesian }, unit }) {
  if (!bayesian) return KINDS[1];
  return unit.includes("-many-") ? KINDS[2] : KINDS[0];
}

export async function section(all, kit) {
  const tests = all.filter((r) => r.settings.judged === "test");
  const choices = all.filter((r) => r.settings.judged === "validation");
  const place = ({ settings: { data, model } }) => `${DATA[data]}, ${NETS[model]}`;
  const order = (r) => [place(r), String(r.settings.images).padStart(6, "0"), KINDS.indexOf(kindOf(r))].join("/");
  const groups = [...grouped(tests, order)].sort(
    ([a], [b]) => (a < b ? 1 : -1) * (a.split("/")[0] === b.split("/")[0] ? -1 : 1),
  );
  const rows = groups.map(([, rs]) => {
    const of = (f, format) =>
      over(
        rs.map((r) => f(r.figures)),
        format,
      );
    return [
      `${place(rs[0])}, ${count(rs[0].settings.images)}`,
      kindOf(rs[0]),
      String(rs.length),
      String(rs[0].figures.steps),
      of(
        (f) => f.accuracy,
        (x) => percent(x, 1),
      ),
      of(
        (f) => f.nll,
        (x) => fixed(x, 3),
      ),
      of(
        (f) => f.ece,
        (x) => fixed(x, 3),
      ),
      of(
        (f) => f.train.accuracy,
        (x) => percent(x, 1),
      ),
    ];
  });
  const points = groups.map(([, rs]) => ({
    net: place(rs[0]),
    images: rs[0].settings.images,
    kind: kindOf(rs[0]),
    nll: rs.reduce((sum, r) => sum + r.figures.nll, 0) / rs.length,
  }));
  const plot =
    points.length === 0
      ? ""
      : await kit.plot("nll", "test NLL by the number of training images", {
          data: { values: points },
          facet: { field: "net", type: "nominal", title: null, sort: null },
          resolve: { scale: { y: "independent" } },
          spec: {
            width: 210,
            height: 170,
            mark: { type: "line", point: true, strokeWidth: 1.8 },
            encoding: {
              x: {
                field: "images",
                type: "quantitative",
                scale: { type: "log" },
                axis: { values: [300, 1000, 3000, 10000] },
                title: "training images",
              },
              y: { field: "nll", type: "quantitative", scale: { type: "log" }, title: "test NLL" },
              color: { field: "kind", type: "nominal", sort: KINDS, title: null, legend: { orient: "bottom" } },
            },
          },
        });
  return `
300 to 10,000 images, drawn anew for every seed, and nothing said: what \`fit\` and \`train\` do then (\`recipeFor\` in \`lib/train/recipe.ts\`), its frequentist twin on
the same schedule, and the recipe of large sets (20 epochs, batches of 128, beta 0.1, sigma from 0.0067). No augmentation; the same 2,000 test images judge all of them, once.
Guessing among ten classes costs ln 10 = 2.303. From 5,000 images on the recipe is that of large sets.

${rows.length === 0 ? "" : table(["data, net, images", "recipe", "seeds", "steps", "accuracy", "NLL", "ECE", "training accuracy"], rows)}

${plot}

The recipe was chosen on 2,000 validation images, for LeNet-5 and 1,000 images: where sigma begins (as a share of the root mean square weight of its layer; 0 is 0.0067 everywhere), and beta. Validation
NLL and accuracy, one seed:

${choiceTables(choices)}

Narrow posteriors stay narrow in 500 steps, and the net learns its images by heart at any of these betas. Wide ones are what keeps it from that; beta matters little beside them. So beta is
0.1 · N / 5,000, and 0.02 below 1,000 images; sigma begins at a third of the weights, and at up to a half below 1,000. At 3,000 images, where the recipe of large sets has as many steps, LeNet-5 pays for a better calibration with some accuracy on
CIFAR-10, and gains nothing on MNIST. ${all.length === 0 ? "" : `${madeOn(all)}.`}
`;
}

function choiceTables(choices) {
  const sigmas = [...new Set(choices.map((r) => r.settings.initialSigma))].sort((a, b) => a - b);
  const betas = [...new Set(choices.map((r) => r.settings.beta))].sort((a, b) => b - a);
  if (choices.length === 0) return "";
  return Object.keys(DATA)
    .map((data) => {
      const cell = (sigma, beta) => {
        const r = choices.find(({ settings: s }) => s.data === data && s.initialSigma === sigma && s.beta === beta);
        return r ? `${fixed(r.figures.nll, 3)} (${percent(r.figures.accuracy, 1)})` : "–";
      };
      return table(
        [`${DATA[data]}: sigma begins at`, ...betas.map((b) => `beta ${b}`)],
        sigmas.map((sigma) => [
          sigma === 0 ? "0.0067" : `${Number(sigma.toFixed(2))} of the weights`,
          ...betas.map((b) => cell(sigma, b)),
        ]),
      );
    })
    .join("\n\n");
}
