// Texts that many points share, each kept once as long as somebody holds it: scopes, units, sources.
// It must not know what the texts mean.

/** The number of no text. */
export const none = 0;

/** Texts by number. A number is used again when nobody holds its text any more. */
export class Interned {
  readonly #numbers = new Map<string, number>();
  readonly #texts: (string | undefined)[] = [undefined];
  /** The texts as JSON. */
  readonly #quoted: string[] = ["null"];
  readonly #holders: number[] = [0];
  readonly #free: number[] = [];
  #last: string | undefined;
  #lastNumber = none;

  /** The number of a text, held once more; `none` for no text. */
  hold(text: string | undefined): number {
    if (text === undefined) return none;
    const known = this.find(text) ?? this.#add(text);
    this.#holders[known] = (this.#holders[known] ?? 0) + 1;
    return known;
  }

  /** The number of a text, if somebody holds it. */
  find(text: string): number | undefined {
    if (text === this.#last) return this.#lastNumber;
    const known = this.#numbers.get(text);
    if (known === undefined) return undefined;
    this.#last = text;
    this.#lastNumber = known;
    return known;
  }

  #add(text: string): number {
    const number = this.#free.pop() ?? this.#texts.length;
    this.#numbers.set(text, number);
    this.#texts[number] = text;
    this.#quoted[number] = JSON.stringify(text);
    this.#holders[number] = 0;
    return number;
  }

  /** The text of a number in place of another: what `held` was is let go. */
  change(held: number, text: string | undefined): number {
    if (text === this.#texts[held]) return held;
    const next = this.hold(text);
    this.drop(held);
    return next;
  }

  /** Lets go of a text once. */
  drop(number: number): void {
    if (number === none) return;
    const left = (this.#holders[number] ?? 1) - 1;
    this.#holders[number] = left;
    if (left > 0) return;
    const text = this.#texts[number];
    if (text !== undefined) this.#numbers.delete(text);
    if (this.#lastNumber === number) this.#last = undefined;
    this.#texts[number] = undefined;
    this.#free.push(number);
  }

  textOf(number: number): string | undefined {
    return this.#texts[number];
  }

  /** The text as JSON. */
  quotedOf(number: number): string {
    return this.#quoted[number] ?? "null";
  }

  /** Points that hold the text. */
  holdersOf(number: number): number {
    return this.#holders[number] ?? 0;
  }

  /** All texts that are held. */
  texts(): Iterable<string> {
    return this.#numbers.keys();
  }

  get count(): number {
    return this.#numbers.size;
  }
}
