/** Arrays by number, the least recently used forgotten first when they are more than so many bytes. */
export class Cache {
  readonly #most: number;
  /** Least recently used first. */
  readonly #kept = new Map<number, Uint8Array>();
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: number): Uint8Array | undefined {
    const found = this.#kept.get(key);
    if (found) {
      this.#kept.delete(key);
      this.#kept.set(key, found);
    }
    return found;
  }

  set(key: number, value: Uint8Array): void {
    if (value.length > this.#most) return;
    this.#bytes += value.length - (this.#kept.get(key)?.length ?? 0);
    this.#kept.delete(key);
    this.#kept.set(key, value);
    for (const [old, { length }] of this.#kept) {
      if (this.#bytes <= this.#most) return;
      this.#kept.delete(old);
      this.#bytes -= length;
    }
  }
}
