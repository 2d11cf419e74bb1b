/**
 * A store has one run at a time. `fit` takes a turn for each chunk of steps, and begins callbacks inside one but awaits them outside, so that
 * predictions take turns with it and see the parameters as of the end of a step. Nothing inside a turn may wait for another one of the store.
 */

/** Somebody's turn on a store: what a run asks for that is part of it. */
export interface Turn {
  /** Who has it, as a phrase for messages: "fit of lenet5". */
  readonly owner: string;
}

interface Waiting {
  readonly turn: Turn;
  readonly begin: () => void;
  readonly refuse: (error: Error) => void;
}

/** One at a time, first come first served. */
export class Turns {
  #current: Turn | undefined;
  #waiting: Waiting[] = [];

  get current(): Turn | undefined {
    return this.#current;
  }

  /** Calls `work` when it is this caller's turn, at once if nobody has one; the turn ends when its promise is settled. */
  async take<T>(owner: string, work: (turn: Turn) => T | Promise<T>): Promise<T> {
    const turn = { owner };
    if (this.#current) await new Promise<void>((begin, refuse) => this.#waiting.push({ turn, begin, refuse }));
    else this.#current = turn;
    try {
      return await work(turn);
    } finally {
      const next = this.#waiting.shift();
      this.#current = next?.turn; // handed over here and now: nobody gets in between
      next?.begin();
    }
  }

  /** Whoever still waits is told why it will wait no more. */
  refuse(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const w of waiting) w.refuse(error);
  }
}
