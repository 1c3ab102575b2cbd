// The known word a misspelt one was meant to be. It must not know what words stand for.

/** Words longer than this are no slips of the finger. */
const lengthMax = 64;

/**
 * The known word that takes the fewest changes to become, or undefined when that is more than a
 * third of its letters. Case does not count.
 */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestChanges = Number.POSITIVE_INFINITY;
  if (word.length > lengthMax) return undefined;
  for (const each of known) {
    const changes = changesBetween(word.toLowerCase(), each.toLowerCase());
    if (changes < bestChanges && changes <= Math.max(1, Math.floor(each.length / 3))) {
      best = each;
      bestChanges = changes;
    }
  }
  return best;
}

/** Letters to put in, take out, exchange, or swap with the next (optimal string alignment). */
function changesBetween(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      const cell = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (isSame ? 0 : 1),
      );
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(isSwap ? Math.min(cell, (before[j - 2] ?? 0) + 1) : cell);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
