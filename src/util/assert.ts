// What must hold by our own making, whatever comes from outside.
// It must not know what it is asserted of.

/**
 * Makes sure of what the code around it relies on. Where it does not hold, what follows cannot be
 * trusted: the error has no code, nobody handles it, and the process ends.
 */
export function assert(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Error(`broken invariant: ${invariant}`);
}
