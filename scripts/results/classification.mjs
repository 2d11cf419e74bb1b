import { fixed, grouped, madeOn, mean, over, percent, table } from "./kit.mjs";

const DATA = { mnist: "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar-10": "CIFAR-10", "cifar-100": "CIFAR-100" };
const NETS = {
  lenet5: "LeNet-5",
  alexnet: "AlexNet",
  "alexnet-half": "AlexNetHalf",
  "3conv3fc": "3Conv3FC",
  resnet20: "ResNet-20",
};

/** Validation accuracy in percent as the paper prints it (chapter 5 of the thesis of the same text): Bayesian, frequentist. */
const PAPER = {
  "mnist/alexnet": [99, 99],
  "cifar-10/alexnet": [73, 73],
  "cifar-100/alexnet": [36, 38],
  "mnist/lenet5": [98, 98],
  "cifar-10/lenet5": [69, 68],
  "cifar-100/lenet5": [31, 33],
  "mnist/alexnet-half": [99, undefined],
  "cifar-10/alexnet-half": [79, undefined],
  "cifar-100/alexnet-half": [38, undefined],
};

const isSoftplus = (r) => r.unit.includes("-bayesian-softplus-");
const isBayesian = (r) => r.settings.model.bayesian !== false && !isSoftplus(r);
const isEnsemble = (r) => r.settings.members !== undefined;
const isTwin = (r) => r.settings.model.bayesian === false && r.settings.model.dropout === undefined && !isEnsemble(r);
const isMcDropout = (r) => r.settings.model.monteCarloDropout === true;
const place = (r) => `${r.settings.data}/${r.settings.model.model}`;

/** The paper's training and validation accuracies of AlexNet on CIFAR-100 with 0 to 3 dropouts; that of two is from its logs. */
const PAPER_DROPOUTS = [
  ["83 %", "38 %"],
  ["72 %", "40 %"],
  ["48 %", "42 %"],
  ["39 %", "38 %"],
];

/** The twins whose weight decay had the lowest NLL on the validation images. */
function picked(twins) {
  const byDecay = [...grouped(twins, (r) => r.settings.weightDecay).values()];
  return (
    byDecay.sort((a, b) => mean(a.map((r) => r.figures.valid.nll)) - mean(b.map((r) => r.figures.valid.nll)))[0] ?? []
  );
}

export async function section(all, kit) {
  const choices = all.filter((r) => r.unit.startsWith("choice-"));
  const results = all.filter((r) => !choices.includes(r) && DATA[r.settings.data] && NETS[r.settings.model.model]);
  const places = [
    ...new Set([...kit.units.filter((u) => !u.name.startsWith("choice-")).map((u) => place(u)), ...results.map(place)]),
  ];
  const groups = places.map((at) => {
    const here = results.filter((r) => place(r) === at);
    return {
      at,
      bayesian: here.filter(isBayesian),
      twin: picked(here.filter(isTwin)),
      decays: new Set(here.filter(isTwin).map((r) => r.settings.weightDecay)),
      softplus: here.filter(isSoftplus),
      dropout: here.filter(isMcDropout),
      ensemble: here.filter(isEnsemble),
    };
  });
  const name = (at) => {
    const [data, model] = at.split("/");
    return `${DATA[data]}, ${NETS[model]}`;
  };
  const oneDecay = groups.filter(({ decays }) => decays.size === 1 && decays.has(1e-4)).map(({ at }) => name(at));
  // what the text says of all, and what differs from it
  const rateOf = (r) => Number(r.settings.learningRate.split(":")[1]);
  const slower = [...new Set(results.filter((r) => rateOf(r) !== 2e-3).map((r) => `${name(place(r))} ${rateOf(r)}`))];
  const shorter = groups
    .filter(({ bayesian: [b], twin: [t] }) => b && t && b.settings.epochs !== t.settings.epochs)
    .map(
      ({ at, twin: [t] }) =>
        `that of ${name(at)} is of ${t.settings.epochs} epochs at ${rateOf(t)}, and no equal of it`,
    );
  const paper = (at, i) => (PAPER[at]?.[i] === undefined ? "–" : `${PAPER[at][i]} %`);
  const accuracy = (rs) =>
    over(
      rs.map((r) => r.figures.accuracy),
      percent,
    );
  const first = groups
    .filter(({ at, bayesian, twin }) => PAPER[at] || bayesian.length + twin.length > 0)
    .map(({ at, bayesian, twin }) => [name(at), paper(at, 0), accuracy(bayesian), paper(at, 1), accuracy(twin)]);
  const figure = (rs, of, format) =>
    over(
      rs.map((r) => of(r.figures)),
      format,
    );
  const rows = groups.flatMap(({ at, bayesian, softplus, twin, dropout, ensemble }) =>
    [
      ["Bayesian", bayesian],
      [`Bayesian, softplus, beta ${softplus[0]?.settings.beta}`, softplus],
      [`frequentist, decay ${twin[0]?.settings.weightDecay}`, twin],
      ["Monte-Carlo dropout", dropout],
      [`ensemble of ${ensemble[0]?.settings.members} twins`, ensemble],
    ]
      .filter(([, rs]) => rs.length > 0)
      .map(([kind, rs]) => [
        `${name(at)}, ${kind}`,
        String(rs.length),
        String(rs[0].settings.epochs),
        accuracy(rs),
        figure(rs, (f) => f.nll, fixed),
        figure(rs, (f) => f.ece, fixed),
        figure(rs, (f) => f.brier, fixed),
        figure(
          rs,
          (f) => 100 * (f.train.accuracy - f.accuracy),
          (x) => x.toFixed(1),
        ),
      ]),
  );
  const curves = groups
    .filter(({ bayesian }) => bayesian.length > 0)
    .flatMap(({ at, bayesian, twin }) =>
      [
        ["Bayesian", bayesian[0]],
        ["frequentist", twin[0]],
      ].flatMap(([kind, r]) =>
        (r?.figures.curves.validNll ?? []).map((nll, i) => ({ net: name(at), kind, epoch: i + 1, nll })),
      ),
    );
  const plot =
    curves.length === 0
      ? ""
      : await kit.plot("curves", "validation NLL over the epochs", {
          data: { values: curves },
          facet: { field: "net", type: "nominal", title: null, columns: 3, sort: null },
          columns: 3,
          resolve: { scale: { x: "independent", y: "independent" } },
          spec: {
            width: 200,
            height: 130,
            mark: { type: "line", strokeWidth: 1.8 },
            encoding: {
              x: { field: "epoch", type: "quantitative", title: "epoch" },
              y: { field: "nll", type: "quantitative", scale: { zero: false }, title: "validation NLL" },
              color: { field: "kind", type: "nominal", title: null, legend: { orient: "bottom" } },
            },
          },
        });
  const dropouts = [0, 1, 2, 3].map((n) => {
    const ours = results.filter(
      (r) =>
        place(r) === "cifar-100/alexnet" && r.settings.model.bayesian === false && !isMcDropout(r) && !isEnsemble(r),
    );
    const own = n === 0 ? picked(ours.filter(isTwin)) : ours.filter((r) => r.settings.model.dropoutAfter?.length === n);
    return [
      `${n} dropouts`,
      ...PAPER_DROPOUTS[n],
      ...own.slice(0, 1).flatMap((r) => [percent(r.figures.train.accuracy, 1), percent(r.figures.accuracy, 1)]),
    ];
  });
  const c100 = groups.find(({ at }) => at === "cifar-100/alexnet").bayesian[0];
  dropouts.push([
    "Bayesian",
    "54 %",
    "37 %",
    ...(c100 ? [percent(c100.figures.train.accuracy, 1), percent(c100.figures.accuracy, 1)] : []),
  ]);
  return `
${table(["test accuracy", "paper, Bayesian", "ours, Bayesian", "paper, frequentist", "ours, frequentist"], first)}

The paper prints whole percents of one run, on the official test split, which its code also crops at random and looks at after every epoch. Ours: a twelfth of
the training images is held out for validation, the test images are predicted once, after the last step; means and standard deviations over seeds.

${rows.length === 0 ? "" : table(["", "seeds", "epochs", "accuracy", "NLL", "ECE", "Brier", "train - test, points"], rows)}

Adam, learning rate 0.002${slower.length > 0 ? ` (${slower.join(", ")})` : ""} along a half cosine to zero, batch 128, prior N(0, 0.1²), 32 Monte-Carlo samples at test. On digits and clothes Bayesian nets have the paper's softplus and beta 0.1; on CIFAR their twin's ReLU, because
softplus learns less of pictures there, and beta 0.02${
    choices.length === 0
      ? ""
      : `, which the validation images preferred (${choices
          .toSorted((a, b) => b.settings.beta - a.settings.beta)
          .map((r) => `beta ${r.settings.beta}: NLL ${fixed(r.figures.nll)}, ECE ${fixed(r.figures.ece)}`)
          .join("; ")})`
  }. CIFAR images are shifted by up to 4 pixels and
mirrored, Fashion-MNIST's mirrored, MNIST's taken as they are; the twin has the same widths, schedule and augmentation, and the weight decay among 0, 0.0001
and 0.0005 with the lowest validation NLL${shorter.length > 0 ? `; ${shorter.join("; ")}` : ""}${
    oneDecay.length === 0 ? "" : ` (of ${oneDecay.join(" and ")} only 0.0001 was run)`
  }. ${results.length === 0 ? "" : `${madeOn(results)}.`}

${plot}

The paper's table of dropouts, AlexNet on CIFAR-100 (rate 0.5 behind conv1, conv3 and conv5; its logs have the row of two, its text leaves it out):

${table(
  ["", "paper, train", "paper, validation", "ours, train", "ours, test"],
  dropouts.map((row) => [...row, "not run", "not run"].slice(0, 5)),
)}

| where the paper or its code was unfair or wrong | the paper | its code | ours |
| --- | --- | --- | --- |
| widths of the twins | "identical" | frequentist AlexNet has 256 filters in conv5, the Bayesian one 128 | the same widths everywhere |
| KL term | of the weights that predict | of parameters that the forward pass never used (2018); KL(prior ‖ posterior) (since 2020) | KL(posterior ‖ prior) of every weight, once |
| weight of the KL term | Blundell's schedule | beside a mean NLL, hundreds of times too heavy (2018); 0.1 (since 2020) | mean NLL + (beta/N) KL; beta 0.1, on CIFAR 0.02, and 1 is the ELBO |
| learning rate | the same | falls for the Bayesian net, constant for its twin | the same schedule for both |
| augmentation | not told | random crops of the test images too | training images alone |
| splits | "validation" | test split, looked at every epoch | training, validation, test |
| prediction | mean over samples | mean of the samples' accuracies; since 2020 mean logits | mean of the samples' probabilities |
`;
}
