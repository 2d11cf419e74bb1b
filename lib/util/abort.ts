const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `listener` when the signal aborts; the result takes it back. A signal that thousands of calls share has one event
 * listener: Node.js warns of a leak from eleven on.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let all = listeners.get(signal);
  if (!all) {
    const mine = new Set<() => void>();
    signal.addEventListener("abort", () => [...mine].forEach((call) => void call()), { once: true });
    listeners.set(signal, mine);
    all = mine;
  }
  all.add(listener);
  return () => void all.delete(listener);
}

/** What `work` gives, or the signal's reason as soon as it aborts; `work` itself is not stopped. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const deaf = onAbort(signal, () => reject(signal.reason));
    void work.then(resolve, reject).finally(deaf);
    if (signal.aborted) reject(signal.reason);
  });
}
