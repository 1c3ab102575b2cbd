// What every torture gives and takes. It must not know any of them.

/** What the command line asked for. */
export interface TortureOrder {
  readonly count: number | undefined;
  readonly seed: number;
  /** Says how far it is, on standard error. */
  readonly progress: (words: string) => void;
}

/** What came of it. */
export interface TortureResult {
  readonly runs: number;
  /** One sentence each; empty is good. */
  readonly violations: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
}

/** One torture: its default count and how to run it. */
export interface Torture {
  readonly name: string;
  readonly what: string;
  run(order: TortureOrder): Promise<TortureResult>;
}
