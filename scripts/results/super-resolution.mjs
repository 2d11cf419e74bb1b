import { fixed, madeOn, percent, table } from "./kit.mjs";

const NETS = [
  ["bicubic", "bicubic"],
  ["learned frequentist", "frequentist, one sigma"],
  ["learned bayesian", "Bayesian, one sigma"],
  ["predicted frequentist", "frequentist, predicted sigma"],
  ["predicted bayesian", "Bayesian, predicted sigma"],
];

const SETS = { "bsd300/test": "BSD300 test (100 pictures)", set5: "Set5" };

export async function section(results, kit) {
  const sets = results.filter((r) => r.settings.set !== undefined).sort((a, b) => a.settings.scale - b.settings.scale);
  if (sets.length === 0) return "";
  const rows = sets.flatMap(({ settings: { set, scale }, figures }) =>
    NETS.flatMap(([key, title]) => {
      const f = figures[key];
      if (!f) return [];
      return [
        [
          `x${scale}, ${SETS[set]}, ${title}`,
          fixed(f.psnr, 2),
          fixed(f.ssim, 4),
          fixed(f.nll, 3),
          fixed(f.nllConstant, 3),
          percent(f.coverage95, 1),
        ],
      ];
    }),
  );
  const main = sets.find((r) => r.settings.set === "bsd300/test");
  return `
${table(["", "PSNR, dB", "SSIM", "NLL, nats a pixel", "of the best constant sigma", "in the 95 % interval"], rows)}

Trained on patches of BSD300's training pictures; luma (BT.601, 16 to 235), pictures cut to a multiple of the scale and made smaller as by MATLAB's imresize (antialiased, a = -0.5) to 8
bits, borders of \`scale\` pixels left out, PSNR and SSIM of the rounded result. The twins have the same widths (${results.some((r) => r.settings.scale === 3) ? "59,657 weights and biases with one sigma at x3" : "those of the paper"}),
patches and schedule. "The best constant sigma" is the one that is best for these very errors. The paper gives no figure, and its code for this net has no Bayesian layer. The network adds to the
bicubic picture, and a predicted sigma begins as a trained network with one sigma for all pixels.

${main ? await calibration(main, kit) : ""}

${pictures(results)}

${madeOn(results)}.
`;
}

async function calibration({ settings: { scale, samples }, figures }, kit) {
  const { deciles, epistemic, aleatoric } = figures["predicted bayesian"];
  const rows = deciles.count.map((_, i) => [
    String(i + 1),
    fixed(deciles.sigma[i], 2),
    fixed(deciles.rmse[i], 2),
    percent(deciles.coverage95[i], 1),
  ]);
  const values = ["predicted bayesian", "predicted frequentist", "learned bayesian"].flatMap((key) =>
    (figures[key]?.deciles.sigma ?? []).map((sigma, i) => ({
      sigma,
      rmse: figures[key].deciles.rmse[i],
      kind: NETS.find(([k]) => k === key)[1],
    })),
  );
  const most = Math.max(...values.map((v) => Math.max(v.sigma, v.rmse)));
  const plot = await kit.plot("calibration", "root mean squared error over predicted sigma", {
    width: 360,
    height: 300,
    layer: [
      {
        data: { values: [{ at: 0.5 }, { at: most }] },
        mark: { type: "line", color: "#9ca3af", strokeDash: [4, 4] },
        encoding: { x: { field: "at", type: "quantitative" }, y: { field: "at", type: "quantitative" } },
      },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 50 },
        encoding: {
          x: {
            field: "sigma",
            type: "quantitative",
            scale: { type: "log" },
            title: "predicted sigma of a decile, levels of luma",
          },
          y: { field: "rmse", type: "quantitative", scale: { type: "log" }, title: "root mean squared error" },
          color: { field: "kind", type: "nominal", title: null, legend: { orient: "bottom", columns: 1 } },
        },
      },
    ],
  });
  return `The Bayesian network with predicted sigma at x${scale}, the pixels of the 100 test pictures by their sigma (${samples} draws of all weights); ${percent(epistemic / (epistemic + aleatoric), 2)} of the variance is epistemic:

${table(["decile of sigma", "sigma", "root mean squared error", "in the 95 % interval"], rows)}

${plot}`;
}

function pictures(results) {
  const shown = results.find((r) => r.settings.name !== undefined);
  if (!shown) return "";
  const image = (name, alt) =>
    `<img src="../results/super-resolution/${shown.unit}-${name}.png" width="255" alt="${alt}">`;
  return `Set5's ${shown.settings.name.replace(/\.png$/, "")} at x${shown.settings.scale}: bicubic (${fixed(shown.figures.bicubic, 2)} dB), the network (${fixed(shown.figures.network, 2)} dB), and the original:

${image("bicubic", "bicubic")} ${image("network", "the network")} ${image("truth", "original")}

Sigma, aleatoric (white is 32 levels of luma) and epistemic (white is 2):

${image("aleatoric", "aleatoric sigma")} ${image("epistemic", "epistemic sigma")}`;
}
