import { fixed, madeOn, percent, table } from "./kit.mjs";

const DATA = { mnist: "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar-10": "CIFAR-10", "cifar-100": "CIFAR-100" };
const NETS = { lenet5: "LeNet-5", alexnet: "AlexNet" };
const name = (r) => `${NETS[r.settings.model]} on ${DATA[r.settings.data]}`;

/** The paper's table of uncertainties (Bayesian LeNet-5): aleatoric, epistemic. */
const PAPER = { "mnist/lenet5": [0.0096, 0.0026], "cifar-10/lenet5": [0.192, 0.0404] };

export async function section(results, kit) {
  if (results.length === 0) return "";
  const split = results.flatMap((r) => {
    const { softmax, softplus, untrained } = r.figures;
    const [aleatoric, epistemic] = PAPER[`${r.settings.data}/${r.settings.model}`] ?? [];
    return [
      [name(r), fixed(softmax.aleatoric), fixed(softmax.epistemic), fixed(aleatoric), fixed(epistemic)],
      [`${name(r)}, normalized softplus`, fixed(softplus.aleatoric), fixed(softplus.epistemic), "–", "–"],
      [`${name(r)}, never trained`, fixed(untrained.aleatoric), fixed(untrained.epistemic), "–", "–"],
    ];
  });
  const measures = [...new Set(results.flatMap((r) => Object.keys(r.figures.strange.auroc)))];
  const strange = results.map((r) => [
    `${name(r)} against ${DATA[r.settings.strange]}`,
    ...measures.map((m) => fixed(r.figures.strange.auroc[m], 3)),
  ]);
  const kinds = ["bayesian", "frequentist"];
  const turned = results.flatMap((r) =>
    r.figures.rotation.flatMap(({ angle, ...of }) =>
      kinds.flatMap((kind) => [
        { net: name(r), angle, kind, what: "accuracy", value: of[kind].accuracy },
        { net: name(r), angle, kind, what: "entropy, nats", value: of[kind].entropy },
        ...(kind === "bayesian" ? [{ net: name(r), angle, kind, what: "epistemic", value: of[kind].epistemic }] : []),
      ]),
    ),
  );
  const rotation = await kit.plot("rotation", "accuracy, entropy and epistemic uncertainty of turned images", {
    data: { values: turned },
    facet: {
      row: { field: "net", type: "nominal", title: null },
      column: { field: "what", type: "nominal", title: null, sort: ["accuracy", "entropy, nats", "epistemic"] },
    },
    resolve: { scale: { y: "independent" } },
    spec: {
      width: 190,
      height: 110,
      mark: { type: "line", strokeWidth: 1.8 },
      encoding: {
        x: { field: "angle", type: "quantitative", title: "degrees", axis: { values: [0, 45, 90, 135, 180] } },
        y: { field: "value", type: "quantitative", title: null },
        color: { field: "kind", type: "nominal", title: null, legend: { orient: "bottom" } },
      },
    },
  });
  const hurt = results.flatMap((r) =>
    r.figures.damage.flatMap(({ kind: damage, strength, ...of }) =>
      kinds.map((kind) => ({ net: name(r), damage, strength, kind, nll: of[kind].nll })),
    ),
  );
  const damage = await kit.plot("damage", "NLL of damaged images at five strengths", {
    data: { values: hurt },
    facet: {
      row: { field: "net", type: "nominal", title: null },
      column: { field: "damage", type: "nominal", title: null },
    },
    resolve: { scale: { y: "independent" } },
    spec: {
      width: 150,
      height: 110,
      mark: { type: "line", strokeWidth: 1.8, point: { size: 18 } },
      encoding: {
        x: { field: "strength", type: "quantitative", axis: { values: [1, 2, 3, 4, 5] } },
        y: { field: "nll", type: "quantitative", title: "NLL" },
        color: { field: "kind", type: "nominal", title: null, legend: { orient: "bottom" } },
      },
    },
  });
  const worst = results.flatMap((r) =>
    r.figures.damage
      .filter((d) => d.strength === 5)
      .map((d) => [
        `${name(r)}, ${d.kind} 5`,
        percent(d.bayesian.accuracy, 1),
        percent(d.frequentist.accuracy, 1),
        fixed(d.bayesian.nll, 3),
        fixed(d.frequentist.nll, 3),
        fixed(d.bayesian.ece, 3),
        fixed(d.frequentist.ece, 3),
      ]),
  );
  return `
### What the test images leave open

Variances summed over the classes (Kwon et al. 2018), mean over the test images.

${table(["", "aleatoric", "epistemic", "paper, aleatoric", "paper, epistemic"], split)}

The paper's figures were most likely made across images, from the first image of each test batch (its published code keeps one top probability a batch), so they are no goal.
The rows of nets that were **never trained** are there to be read: an untrained net calls nearly everything aleatoric, "the images are unclear", and so does one whose training failed.
With an under-fitted posterior the split says nothing about images, and the reports of this library say so in place of it.

### Strange images

Area under the ROC curve of telling another set's test images from the net's own, by each measure; the last column is the frequentist twin's.

${table(["", ...measures], strange)}

### Turned and damaged images

${rotation}

${damage}

${table(["strongest damage", "accuracy, Bayesian", "twin", "NLL, Bayesian", "twin", "ECE, Bayesian", "twin"], worst)}

${results[0].settings.damaged} test images; blur, noise, contrast and JPEG are our own implementations (\`lib/experiments/corruptions.ts\`), their strengths in each file of figures.
${madeOn(results)}.
`;
}
