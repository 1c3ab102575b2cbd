// Reads a page of metrics as Prometheus does, and finds what its linter would.
// It must not know who wrote the page. @see Prometheus text exposition format 0.0.4

/** One sample: its name, its labels as they stand, its value. */
export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ReadMetrics {
  readonly samples: readonly ReadSample[];
  /** What is wrong, in words; nothing when all is well. */
  readonly flaws: readonly string[];
  /** The value of one sample; undefined when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

interface Family {
  readonly name: string;
  readonly type: string;
  readonly samples: ReadSample[];
}

const nameForm = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const sampleForm =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?(?:\d[\d.]*(?:e[+-]?\d+)?|Inf)|NaN)$/;
const labelForm = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:\\[\\"n]|[^"\\\n])*)"(,|$)/y;

/** Reads a page. */
export function readMetrics(text: string): ReadMetrics {
  const flaws: string[] = [];
  const families = new Map<string, Family>();
  let family: Family | undefined;
  let helped = "";
  if (text !== "" && !text.endsWith("\n")) flaws.push("the last line has no end");
  for (const line of text.split("\n").slice(0, -1)) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) {
      helped = help[1]!;
    } else if (type !== null) {
      const name = type[1]!;
      if (helped !== name) flaws.push(`${name} has no help before its type`);
      if (families.has(name)) flaws.push(`${name} is declared twice`);
      family = { name, type: type[2]!, samples: [] };
      families.set(name, family);
    } else {
      const sample = readSample(line);
      if (sample === undefined) flaws.push(`not a sample: ${line}`);
      else if (family === undefined || !belongs(family, sample.name)) {
        flaws.push(`${sample.name} stands outside its family`);
      } else family.samples.push(sample);
    }
  }
  for (const one of families.values()) flaws.push(...flawsOf(one));
  const samples = [...families.values()].flatMap((one) => one.samples);
  const key = (labels: Readonly<Record<string, string>>) =>
    JSON.stringify(Object.entries(labels).sort());
  return {
    samples,
    flaws,
    value: (name, labels = {}) =>
      samples.find((one) => one.name === name && key(one.labels) === key(labels))?.value,
  };
}

function readSample(line: string): ReadSample | undefined {
  const found = sampleForm.exec(line);
  if (found === null) return undefined;
  const labels: Record<string, string> = {};
  const text = found[2] ?? "";
  labelForm.lastIndex = 0;
  while (labelForm.lastIndex < text.length) {
    const label = labelForm.exec(text);
    if (label === null || label[1]! in labels) return undefined;
    labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, character) =>
      character === "n" ? "\n" : character,
    );
  }
  return { name: found[1]!, labels, value: Number(found[3]!.replace("Inf", "Infinity")) };
}

function belongs({ name, type }: Family, sample: string): boolean {
  if (type !== "histogram") return sample === name;
  return ["_bucket", "_sum", "_count"].some((suffix) => sample === name + suffix);
}

function flawsOf({ name, type, samples }: Family): string[] {
  const flaws: string[] = [];
  if (!nameForm.test(name)) flaws.push(`${name} is no name`);
  if (samples.length === 0) flaws.push(`${name} has no samples`);
  if (type === "counter" && !name.endsWith("_total"))
    flaws.push(`${name} is a counter without _total`);
  if (type !== "counter" && name.endsWith("_total"))
    flaws.push(`${name} is no counter but ends in _total`);
  const seen = new Set<string>();
  for (const { name: own, labels, value } of samples) {
    const key = own + JSON.stringify(Object.entries(labels).sort());
    if (seen.has(key)) flaws.push(`${key} stands twice`);
    seen.add(key);
    if (Number.isNaN(value)) flaws.push(`${key} is no number`);
    if (type === "counter" && value < 0) flaws.push(`${key} is negative`);
  }
  return type === "histogram" ? [...flaws, ...histogramFlaws(name, samples)] : flaws;
}

function histogramFlaws(name: string, samples: readonly ReadSample[]): string[] {
  const flaws: string[] = [];
  const groups = new Map<string, ReadSample[]>();
  for (const sample of samples) {
    const { le: _, ...rest } = sample.labels;
    const key = JSON.stringify(rest);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [key, group] of groups) {
    const buckets = group.filter((one) => one.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => Number(labels.le?.replace("+Inf", "Infinity")));
    if (!bounds.every((bound, at) => at === 0 || bound > bounds[at - 1]!)) {
      flaws.push(`${name}${key} has bounds out of order`);
    }
    if (!buckets.every(({ value }, at) => at === 0 || value >= buckets[at - 1]!.value)) {
      flaws.push(`${name}${key} is not cumulative`);
    }
    const count = group.find((one) => one.name === `${name}_count`)?.value;
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY || buckets.at(-1)?.value !== count) {
      flaws.push(`${name}${key} does not end in its count`);
    }
    if (!group.some((one) => one.name === `${name}_sum`)) flaws.push(`${name}${key} has no sum`);
  }
  return flaws;
}
