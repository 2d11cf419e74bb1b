/**
 * An option of the command line is declared once. Commander gets its flags, words, check and default; the type of what an action
 * receives follows: "--data-dir <dir>" whose check gives T is `dataDir?: T`, and `dataDir: T` where there is a default.
 */
import { type Command, Option } from "commander";

type Camel<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
type Key<F extends string> = F extends `--${infer Name} ${string}`
  ? Camel<Name>
  : F extends `--${infer Name}`
    ? Camel<Name>
    : never;
type Some<F extends string, V> = { readonly [K in Key<F>]?: V };
type Always<F extends string, V> = { readonly [K in Key<F>]: V };

/** Turns the text of an option into its value; one that may be given several times gets what it has so far. */
type Check<V> = (text: string, before?: V) => V;

/** Options, in the order of the help. */
export class Options<T> {
  /** The type alone of the values. */
  declare readonly values: T;
  readonly #all: readonly Option[];

  constructor(all: readonly Option[] = []) {
    this.#all = all;
  }

  #with<U>(option: Option): Options<T & U> {
    return new Options<T & U>([...this.#all, option]);
  }

  flag<F extends string>(flags: F, words: string): Options<T & Some<F, boolean>> {
    return this.#with(new Option(flags, words));
  }

  value<F extends string, V>(flags: F, words: string, check: Check<V>): Options<T & Some<F, V>>;
  value<F extends string, V>(flags: F, words: string, check: Check<V>, otherwise: V): Options<T & Always<F, V>>;
  value<F extends string, V>(flags: F, words: string, check: Check<V>, otherwise?: V): Options<T & Some<F, V>> {
    const option = new Option(flags, words).argParser(check);
    return this.#with(otherwise === undefined ? option : option.default(otherwise));
  }

  /** One that has to be there. */
  required<F extends string, V>(flags: F, words: string, check: Check<V>): Options<T & Always<F, V>> {
    return this.#with(new Option(flags, words).argParser(check).makeOptionMandatory());
  }

  /** One whose value may be left out, "--augment [spec]": true then. */
  perhaps<F extends string, V>(flags: F, words: string, check: Check<V>): Options<T & Some<F, V | true>> {
    return this.#with(new Option(flags, words).argParser(check));
  }

  choice<F extends string, const V extends string>(flags: F, words: string, of: readonly V[]): Options<T & Some<F, V>>;
  choice<F extends string, const V extends string>(flags: F, words: string, of: readonly V[], otherwise: V): Options<T & Always<F, V>>; // biome-ignore format: one line
  choice<F extends string, V extends string>(flags: F, words: string, of: readonly V[], otherwise?: V) {
    const option = new Option(flags, words).choices(of);
    return this.#with<Some<F, V>>(otherwise === undefined ? option : option.default(otherwise));
  }

  and<U>(others: Options<U>): Options<T & U> {
    return new Options<T & U>([...this.#all, ...others.#all]);
  }

  /** Under a heading of their own in the help. */
  under(heading: string): Options<T> {
    for (const option of this.#all) option.helpGroup(heading);
    return this;
  }

  addTo(command: Command): Command {
    for (const option of this.#all) command.addOption(option);
    return command;
  }
}

/** No options yet. */
export const declare = (): Options<unknown> => new Options();
