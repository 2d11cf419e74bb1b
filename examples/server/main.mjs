// A server that answers about pictures, and says when it does not know.
//
//     node examples/server/main.mjs runs/pets 3000
//     curl --data-binary @photo.jpg localhost:3000
//
// Any number of requests share the model: their pictures are decoded off the event loop and predicted together.
import { serve } from "@hono/node-server";
import { BayesError, openRun } from "bayescnn";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";

const [run, port = "3000", maxQueue = "64"] = process.argv.slice(2);
if (run === undefined) {
  console.error("node main.mjs RUN [PORT] [CALLS]   RUN: the folder of a run, or a file of saveModel");
  process.exit(2);
}
const classify = await openRun(run, { maxQueue: Number(maxQueue) });
await classify.prepare(); // else the first request would wait for the compiler
console.log(String(classify));

const app = new Hono();

app.post("/", bodyLimit({ maxSize: 20e6, onError: (c) => c.json({ error: "at most 20 MB" }, 413) }), async (c) => {
  const { signal } = c.req.raw; // aborts when the client goes away
  try {
    const answer = await classify(new Uint8Array(await c.req.arrayBuffer()), { signal });
    if (answer.unsure) return c.json({ answer: null, why: answer.why, certainty: answer.certainty });
    return c.json({ answer: answer.text, ...answer });
  } catch (error) {
    if (signal.aborted) return new Response(null, { status: 499 }); // nobody reads it
    if (!(error instanceof BayesError)) throw error;
    if (error.code === "ERR_BAYES_QUEUE_FULL")
      return c.json({ error: "too many requests" }, 503, { "Retry-After": "1" });
    if (error.code === "ERR_BAYES_DATA") return c.json({ error: error.message }, 400);
    throw error;
  }
});

app.get("/health", (c) => c.json({ unanswered: classify.unanswered }));

app.onError((error, c) => {
  console.error(error);
  return c.json({ error: "internal error" }, 500);
});

const server = serve({ fetch: app.fetch, port: Number(port), hostname: "127.0.0.1" }, (at) => {
  console.log(`listening on http://127.0.0.1:${at.port}`);
});

for (const end of ["SIGINT", "SIGTERM"]) {
  process.once(end, () => {
    server.close(() => classify.close()); // what is under way is answered first
  });
}
