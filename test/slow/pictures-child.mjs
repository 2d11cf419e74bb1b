// Reads a folder of large pictures and says how much memory that took (MiB): for pictures.test.ts.
import { loadImageFolder } from "../../dist/index.js";

const { count } = await loadImageFolder(process.argv[2], { size: 32, stream: process.argv[3] === "stream" });
console.log(JSON.stringify({ count, peak: process.resourceUsage().maxRSS / 1024 }));
