import { fixed, madeOn, table } from "./kit.mjs";

const kind = (r) => (r.settings.bayesian ? "Bayesian discriminator" : "frequentist");

export async function section(results, kit) {
  if (results.length === 0) return "";
  const rows = results.map((r) => [
    kind(r),
    String(r.settings.steps),
    fixed(r.figures.frechet, 2),
    fixed(r.figures.frechetOfReal, 2),
    fixed(r.figures.diversity, 2),
  ]);
  const opinions = results.flatMap((r) =>
    Object.entries(r.figures.opinions).map(([name, o]) => [
      `${kind(r)}, ${name}`,
      fixed(o.probability, 3),
      fixed(o.epistemic),
      fixed(o.aleatoric),
    ]),
  );
  const curves = results.flatMap((r) =>
    r.figures.curves.step.flatMap((step, i) => [
      { step, kind: kind(r), what: "loss of the discriminator", value: r.figures.curves.discriminator[i] },
      { step, kind: kind(r), what: "loss of the generator", value: r.figures.curves.generator[i] },
    ]),
  );
  const plot = await kit.plot("losses", "losses over the steps", {
    data: { values: curves },
    facet: { field: "what", type: "nominal", title: null },
    resolve: { scale: { y: "independent" } },
    spec: {
      width: 300,
      height: 170,
      mark: { type: "line", strokeWidth: 1.8 },
      encoding: {
        x: { field: "step", type: "quantitative" },
        y: { field: "value", type: "quantitative", title: "nats" },
        color: { field: "kind", type: "nominal", title: null, legend: { orient: "bottom" } },
      },
    },
  });
  const grids = results.map((r) => {
    const steps = [1, 2, 3, 4].map((i) => (i * r.settings.steps) / 4);
    const shown = steps.map(
      (s) => `<img src="../results/gan/${r.unit}-${s}.png" width="200" alt="pictures after ${s} steps">`,
    );
    return `${kind(r)}, after ${steps.join(", ")} steps:\n\n${shown.join("\n")}`;
  });
  return `
${table(["", "steps", "Frechet distance", "of two halves of the real", "diversity (real: 1)"], rows)}

The distance is between Gaussians of the features of this library's own ${results[0].settings.classifier} on CIFAR-10 (not of Inception, so it is no FID), over
${results[0].figures.pictures} made pictures and as many test images. The paper gives no figure for its GAN; its table of this net has no batch norm in the discriminator, and neither has ours. After ${results[0].settings.steps} steps of
${results[0].settings.batchSize} pictures (${fixed((results[0].settings.steps * results[0].settings.batchSize) / 50_000, 1)} epochs) both make colours and textures of CIFAR-10, and no objects yet.

${grids.join("\n\n")}

${plot}

What the discriminator thinks, 32 samples of its weights:

${table(["", "probability of real", "epistemic", "aleatoric"], opinions)}

${madeOn(results)}.
`;
}
