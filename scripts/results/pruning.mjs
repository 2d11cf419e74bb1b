import { count, fixed, madeOn, percent, table } from "./kit.mjs";

const NETS = { lenet5: "LeNet-5 on MNIST", "lenet5-caffe": "Caffe's LeNet-5 on MNIST", alexnet: "AlexNet on CIFAR-10" };
const three = ({ accuracy, nll, ece }) => [percent(accuracy), fixed(nll), fixed(ece)];
const beginning = (results, name) => results.filter((r) => r.unit.startsWith(name));

export async function section(results, kit) {
  const parts = [
    await penalized(beginning(results, "lenet5-l1-")),
    await sparse(beginning(results, "lenet5-weights-"), kit),
    await shrunk(
      results.filter((r) => r.figures.costs),
      kit,
    ),
  ].filter(Boolean);
  if (parts.length === 0) return "";
  return `${parts.join("\n\n")}\n\n${madeOn(results)}.`;
}

/** The paper's: L1, threshold, fine-tuning. */
async function penalized([result]) {
  if (!result) return "";
  const { penalized: with_, plain } = result.figures;
  const { lambda, threshold, epochs } = result.settings;
  const row = (name, { sparsity, kept }, quality) => [name, percent(sparsity, 1), count(kept), ...three(quality)];
  const whole = ({ weights }) => ({ sparsity: 0, kept: weights });
  return `### The paper's pruning

A penalty λ Σ|μ| in training (λ = ${lambda}, ${epochs[0]} epochs), then all weights of a mean of at most ${threshold} are taken out, then ${epochs[1]} epochs without the penalty. Bayesian LeNet-5 on MNIST; the
paper reports 71 % after 73 % for AlexNet on CIFAR-10, and no sparsity. The last rows are the same threshold on a net that was trained without the penalty.

${table(
  ["", "weights out", "left", "accuracy", "NLL", "ECE"],
  [
    row("with the penalty", whole(with_), with_.before),
    row("after the threshold", with_, with_.after),
    row("fine-tuned", with_, with_.tuned),
    row("without a penalty", whole(plain), plain.before),
    row("after the threshold", plain, plain.after),
  ],
)}`;
}

/** Weights by signal to noise beside the twin's by magnitude. */
async function sparse(results, kit) {
  if (results.length === 0) return "";
  const kind = (r) => (r.settings.score === "snr" ? "Bayesian, signal to noise" : "frequentist, magnitude");
  const values = results.flatMap((r) =>
    r.figures.levels.flatMap(({ sparsity, after, tuned }) => [
      { kind: kind(r), sparsity, when: "at once", error: 100 * (1 - after.accuracy), nll: after.nll },
      { kind: kind(r), sparsity, when: "fine-tuned", error: 100 * (1 - tuned.accuracy), nll: tuned.nll },
    ]),
  );
  const plot = await kit.plot("weights", "test error by the share of weights that is left", {
    data: { values },
    transform: [{ calculate: "100 * (1 - datum.sparsity)", as: "left" }],
    facet: { column: { field: "when", type: "nominal", title: null } },
    spec: {
      width: 250,
      height: 170,
      mark: { type: "line", strokeWidth: 1.8, point: { size: 28 } },
      encoding: {
        x: {
          field: "left",
          type: "quantitative",
          title: "weights left, %",
          scale: { type: "log", reverse: true, domain: [2, 50] },
          axis: { values: [50, 25, 10, 5, 2] },
        },
        y: { field: "error", type: "quantitative", title: "test error, %", scale: { type: "log" } },
        color: { field: "kind", type: "nominal", title: null, legend: { orient: "bottom" } },
      },
    },
  });
  const rows = results.flatMap((r) => [
    [kind(r), "0 %", ...three(r.figures.before), "", ""],
    ...r.figures.levels.map(({ sparsity, after, tuned }) => [
      kind(r),
      percent(sparsity, 0),
      ...three(tuned),
      percent(after.accuracy),
      fixed(after.nll),
    ]),
  ]);
  return `### Single weights

LeNet-5 on MNIST, one level after the other, ${results[0].settings.epochs} epochs of fine-tuning at each: the Bayesian net by its weights' signal-to-noise ratio, its frequentist twin by their magnitude.

${plot}

${table(["", "weights out", "accuracy", "NLL", "ECE", "accuracy before fine-tuning", "NLL"], rows)}`;
}

/** Filters and units taken out for good. */
async function shrunk(results, kit) {
  if (results.length === 0) return "";
  const net = (r) => (r.unit.startsWith("lenet5-caffe") ? "lenet5-caffe" : r.unit.split("-")[0]);
  const name = (r) => NETS[net(r)] + (r.unit.includes("frequentist") ? ", frequentist" : "");
  const width = (of) => of.layers.map(({ shape }) => shape.at(-1)).join("-");
  const milliseconds = (t) => `${t.toPrecision(3)} ms`;
  const values = results.flatMap((r) =>
    r.figures.costs.before.layers.flatMap((l, i) =>
      [
        ["before", l],
        ["after", r.figures.costs.after.layers[i]],
      ].map(([when, of]) => ({ net: name(r), layer: l.name, when, value: of.multiplyAdds })),
    ),
  );
  const plot = await kit.plot("layers", "multiply-adds of each layer before and after", {
    data: { values },
    facet: { column: { field: "net", type: "nominal", title: null } },
    resolve: { scale: { x: "independent", y: "independent" } },
    spec: {
      width: 210,
      height: 150,
      mark: { type: "bar", width: { band: 0.7 } },
      encoding: {
        x: { field: "layer", type: "nominal", sort: null, title: null, axis: { labelAngle: -40 } },
        y: { field: "value", type: "quantitative", title: "multiply-adds", stack: null, axis: { format: "~s" } },
        color: {
          field: "when",
          type: "nominal",
          sort: ["before", "after"],
          title: null,
          legend: { orient: "bottom" },
        },
      },
    },
  });
  const sizes = results.map((r) => {
    const { before, after } = r.figures.costs;
    return [
      name(r),
      `${width(before)} → ${width(after)}`,
      `${count(before.weights)} → ${count(after.weights)}`,
      `${(before.weights / after.weights).toFixed(before.weights / after.weights > 10 ? 0 : 1)}×`,
      percent(after.multiplyAdds / before.multiplyAdds, 1),
    ];
  });
  const qualities = results.flatMap((r) => [
    [name(r), ...three(r.figures.before)],
    ["after the last round", ...three(r.figures.after)],
    ["fine-tuned", ...three(r.figures.tuned)],
  ]);
  const times = results.map((r) => {
    const { before, after } = r.figures.speed;
    return [
      name(r),
      ...["inference", "step"].flatMap((what) => [
        `${milliseconds(before[what])} → ${milliseconds(after[what])}`,
        (after[what] / before[what]).toFixed(2),
      ]),
    ];
  });
  return `### Filters and units

Taken out for good (\`shrink\`), in rounds, by how the loss of training images would change without them (first-order Taylor criterion) for each multiply-add or weight that goes, each round with fine-tuning; widths are those of the layers in order, the last one
the classes. Louizos et al. (2017) take Caffe's LeNet-5 to 8-13-88-13 and 5-10-76-16 (the inputs of its layers, single pixels of them too) at about 1 % error, and count 108 to 156 times fewer weights.
Here a weight is a weight of a dense network that any runtime executes.

${plot}

${table(["", "widths", "weights and biases", "fewer", "multiply-adds left"], sizes)}

${table(["", "accuracy", "NLL", "ECE"], qualities)}

Processor time of one batch of 128 images (one pass; median of 41, before and after in turns in one process):

${table(["", "inference", "share", "training step", "share"], times)}`;
}
