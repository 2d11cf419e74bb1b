import { count, madeOn, percent, table } from "./kit.mjs";

export async function section(results, kit) {
  const [result] = results;
  if (!result) return "";
  const { epochs, layers } = result.figures;
  const course = epochs.flatMap(({ epoch, layers: of }) =>
    of.flatMap(({ name, spread, sigma }) => [
      { epoch, layer: name.replace("/weight", ""), what: "spread of the means", value: spread },
      { epoch, layer: name.replace("/weight", ""), what: "mean sigma", value: sigma },
    ]),
  );
  const filters = epochs.flatMap(({ epoch, filters: of }) =>
    of.map(({ mean, sigma }, f) => ({ epoch, filter: `filter ${f + 1}`, mean, low: mean - sigma, high: mean + sigma })),
  );
  const line = { mark: { type: "line", strokeWidth: 1.8 } };
  const courses = await kit.plot("course", "spread of the means and mean sigma of each layer over the epochs", {
    data: { values: course },
    facet: { field: "what", type: "nominal", title: null },
    resolve: { scale: { y: "independent" } },
    spec: {
      width: 300,
      height: 190,
      ...line,
      encoding: {
        x: { field: "epoch", type: "quantitative" },
        y: { field: "value", type: "quantitative", title: null },
        color: { field: "layer", type: "nominal", title: null, sort: null },
      },
    },
  });
  const filterPlot = await kit.plot(
    "filters",
    "mean of each filter of the first convolution, with its sigma, over the epochs",
    {
      data: { values: filters },
      facet: { field: "filter", type: "nominal", title: null },
      columns: 3,
      spec: {
        width: 200,
        height: 110,
        layer: [
          {
            mark: { type: "area", opacity: 0.25 },
            encoding: { y: { field: "low", type: "quantitative", title: "weight" }, y2: { field: "high" } },
          },
          { ...line, encoding: { y: { field: "mean", type: "quantitative" } } },
        ],
        encoding: { x: { field: "epoch", type: "quantitative" } },
      },
    },
  );
  const bars = layers.flatMap(({ name, histogram, edges, weights }) =>
    histogram.map((n, i) => ({
      layer: name.replace("/weight", ""),
      from: edges[i],
      to: edges[i + 1],
      share: n / weights,
    })),
  );
  const histogram = await kit.plot("signal", "histogram of the ratio of signal to noise of the weights of each layer", {
    data: { values: bars },
    facet: { field: "layer", type: "nominal", title: null, sort: null },
    columns: 3,
    resolve: { scale: { y: "independent" } },
    spec: {
      width: 200,
      height: 110,
      mark: { type: "bar", binSpacing: 1 },
      encoding: {
        x: { field: "from", type: "quantitative", bin: { binned: true }, title: "log10 |mu| / sigma" },
        x2: { field: "to" },
        y: { field: "share", type: "quantitative", axis: { format: "%" }, title: "weights" },
      },
    },
  });
  const rows = layers.map(({ name, weights, noise }) => [
    name.replace("/weight", ""),
    count(weights),
    percent(noise, 1),
  ]);
  return `
A Bayesian LeNet-5 on MNIST, ${result.settings.epochs} epochs, seed ${result.settings.seed}. The paper shows its weights growing surer over training; what its code plotted was the
spread of parameters that never met the data (see above). Here are the ones that predict.

${courses}

${filterPlot}

Mean weight of each filter of the first convolution, and the mean sigma around it.

${histogram}

${table(["layer", "weights", "more noise than signal (|mu| < sigma)"], rows)}

${madeOn(results)}.
`;
}
