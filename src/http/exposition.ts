// Families of samples as text that Prometheus reads. It must not know what is measured.
// @see Prometheus text exposition format 0.0.4

export type Labels = Readonly<Record<string, string>>;

/** A value that is not known is left out. */
export type Sample = readonly [labels: Labels, value: number | null];

/** How often each bound was kept, cumulative, with bounds in seconds, ascending. */
export interface Distribution {
  readonly labels: Labels;
  readonly buckets: readonly (readonly [leSeconds: number, count: number])[];
  readonly sumSeconds: number;
  readonly count: number;
}

/** One metric with all its samples; names stand without the `plantd_` before them. */
export type Family =
  | {
      readonly kind: "gauge" | "counter";
      readonly name: string;
      readonly help: string;
      readonly samples: readonly Sample[];
    }
  | {
      readonly kind: "histogram";
      readonly name: string;
      readonly help: string;
      readonly distributions: readonly Distribution[];
    };

export function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { kind: "gauge", name, help, samples };
}

export function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { kind: "counter", name, help, samples };
}

export function histogram(
  name: string,
  help: string,
  distributions: readonly Distribution[],
): Family {
  return { kind: "histogram", name, help, distributions };
}

/** One value without labels. */
export function single(value: number | null): readonly Sample[] {
  return [[{}, value]];
}

/** The text of families, in their order; those without a known sample are left out. */
export function renderFamilies(families: readonly Family[]): string {
  const lines: string[] = [];
  for (const family of families) {
    const samples = linesOf(family);
    if (samples.length === 0) continue;
    const { name, kind, help } = family;
    lines.push(`# HELP plantd_${name} ${help}`, `# TYPE plantd_${name} ${kind}`, ...samples);
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function linesOf(family: Family): string[] {
  const { name } = family;
  if (family.kind === "histogram") {
    return family.distributions.flatMap((one) => distributionLines(name, one));
  }
  return family.samples
    .filter(([, value]) => value !== null)
    .map(([labels, value]) => `plantd_${name}${inBraces(labels)} ${value}`);
}

function distributionLines(name: string, distribution: Distribution): string[] {
  const { labels, buckets, sumSeconds, count } = distribution;
  const bound = (le: string, kept: number) =>
    `plantd_${name}_bucket${inBraces({ ...labels, le })} ${kept}`;
  return [
    ...buckets.map(([leSeconds, kept]) => bound(String(leSeconds), kept)),
    bound("+Inf", count),
    `plantd_${name}_sum${inBraces(labels)} ${sumSeconds}`,
    `plantd_${name}_count${inBraces(labels)} ${count}`,
  ];
}

function inBraces(labels: Labels): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return "";
  const escaped = (value: string) =>
    value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `{${entries.map(([name, value]) => `${name}="${escaped(value)}"`).join(",")}}`;
}
