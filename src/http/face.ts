// The two functions that server and page share: they run here for the first paint, and their text
// is sent to the page. So each stands alone: no imports, no outer names.

/**
 * Points of a polyline 120 × 28 through samples, oldest first, spread over their own range.
 * @returns the `points` attribute; empty for fewer than two samples.
 */
export function sparkPoints(samples: readonly number[]): string {
  if (samples.length < 2) return "";
  const low = Math.min(...samples);
  const span = Math.max(...samples) - low;
  const step = 120 / (samples.length - 1);
  return samples
    .map((sample, at) => {
      const y = span === 0 ? 14 : 26 - ((sample - low) / span) * 24;
      return `${Math.round(at * step * 10) / 10},${Math.round(y * 10) / 10}`;
    })
    .join(" ");
}

/** How long ago, in a few characters: `now`, `8 s`, `12 min`, `3 h`, `2 d`. */
export function shortAge(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 2) return "now";
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
