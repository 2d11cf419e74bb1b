// Makes data/mnist: the first 6,000 training and the first 1,000 test images of MNIST in the standard IDX files.
//   node scripts/make-mnist-subset.mjs FOLDER_OF_THE_FOUR_OFFICIAL_GZ_FILES
// The output is the same bytes every time (gzip without name or time), so a rebuilt file shows no change in git.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";

const source = process.argv[2];
if (source === undefined) {
  console.error("usage: node scripts/make-mnist-subset.mjs FOLDER");
  process.exit(2);
}
const target = fileURLToPath(new URL("../data/mnist/", import.meta.url));

const files = [
  ["train-images-idx3-ubyte.gz", 6000],
  ["train-labels-idx1-ubyte.gz", 6000],
  ["t10k-images-idx3-ubyte.gz", 1000],
  ["t10k-labels-idx1-ubyte.gz", 1000],
];
for (const [name, count] of files) {
  const whole = gunzipSync(readFileSync(join(source, name)));
  const rank = whole[3];
  let size = 1;
  for (let axis = 1; axis < rank; axis++) size *= whole.readUInt32BE(4 + 4 * axis);
  const part = Buffer.from(whole.subarray(0, 4 + 4 * rank + count * size));
  part.writeUInt32BE(count, 4);
  const packed = gzipSync(part, { level: 9 });
  writeFileSync(join(target, name), packed);
  console.log(`${name}: ${count} of ${whole.readUInt32BE(4)}, ${packed.length} bytes`);
}
