// How a reading is written for people: its value and its unit, the same on every page and in the
// terminal. It must not know where it is shown.

/** A value of a point as text: at most 7 significant digits for fractions, texts as they are. */
export function describeValue(value: unknown): string {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return String(value);
    if (Number.isInteger(value)) return String(value);
    return String(Number(value.toPrecision(7)));
  }
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "on" : "off";
  return JSON.stringify(value);
}

const unitWords: Readonly<Record<string, string>> = {
  Cel: "°C",
  deg: "°",
  Ohm: "Ω",
  "1": "",
  "V.A{reactive}": "var",
  "V.A{reactive}.h": "varh",
  "kV.A{reactive}": "kvar",
  "kV.A{reactive}.h": "kvarh",
};

/** A unit as it is written on instruments, from its UCUM code: `kW.h` → `kWh`, `m3/h` → `m³/h`. */
export function describeUnit(unit: string | undefined): string {
  if (unit === undefined) return "";
  const word = unitWords[unit];
  if (word !== undefined) return word;
  const annotation = /^\{([^{}]*)\}$/.exec(unit)?.[1];
  if (annotation !== undefined) return annotation;
  return unit
    .replace(/\{[^{}]*\}/g, "")
    .replace(/(?<=[A-Za-z])\.(?=[A-Za-z])/g, "")
    .replace(/(?<=[ms])[23](?![0-9])/g, (digit) => (digit === "2" ? "²" : "³"));
}
