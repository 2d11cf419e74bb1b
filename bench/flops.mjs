// The floating-point operations that a program has to do: without the taps that fall on padding, and without the
// gradient of an input that nobody asks for.

const NOWHERE = 4; // an output's space in the flat program when nobody reads it

/** @param {import("../dist/graph.js").Program<string, string>} program */
export function flopsOf({ planned }) {
  return planned.steps.reduce((sum, _, i) => sum + stepFlops(planned, i), 0);
}

/**
 * @param {import("../dist/graph.js").Program<string, string>["planned"]} planned
 * @param {number} i a step of the flat program
 */
export function stepFlops({ native, steps }, i) {
  const { inputs, outputs, attrs } = native.steps[i];
  const { op, flops } = steps[i];
  const kind = /^(?:bayesC|c)onv2d(Grad)?$|^(?:bayesL|l)inear(Grad)?$/.exec(op);
  if (!kind) return flops;
  const backward = kind[1] ?? kind[2];
  // backward: x and the weights follow dy (and r = dy/dv)
  const at = backward ? (op.startsWith("bayes") ? 2 : 1) : 0;
  const [x, w] = [inputs[at], inputs[at + 1]];
  const half = backward && outputs[0].space === NOWHERE ? 0.5 : 1;
  return flops * half * (/onv2d/.test(op) ? realTaps(x.shape, w.shape, attrs) : 1);
}

/**
 * The share of a convolution's taps that see a pixel.
 * @param {readonly number[]} x
 * @param {readonly number[]} w
 * @param {Readonly<Record<string, readonly number[]>>} attrs
 */
function realTaps(x, w, { stride, padding, dilation }) {
  return [0, 1].reduce((share, axis) => {
    let real = 0;
    const reach = dilation[axis] * (w[axis] - 1) + 1;
    const results = Math.floor((x[axis + 1] + padding[axis] + padding[axis + 2] - reach) / stride[axis]) + 1;
    for (let o = 0; o < results; o++)
      for (let k = 0; k < w[axis]; k++) {
        const at = o * stride[axis] + k * dilation[axis] - padding[axis];
        if (at >= 0 && at < x[axis + 1]) real++;
      }
    return (share * real) / (results * w[axis]);
  }, 1);
}
