// Every program in docs/guides/ runs.
import { beforeAll, describe } from "vitest";
import { build } from "../built.ts";
import { programs } from "../docs-kit/blocks.ts";
import { runs } from "../docs-kit/runs.ts";

beforeAll(build);

describe("programs in the guides", () => runs(programs().filter(({ place }) => place.startsWith("docs/guides/"))));
