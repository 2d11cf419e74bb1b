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
