// The generated pages of docs/reference: settings from the schema, errors from the catalogue,
// commands from their help. Pure. It must not know where pages are kept.
import { builtInRights } from "../access/access.ts";
import { cliReference } from "../cli/cli.ts";
import { schema, settingNames, variableOf } from "../config/config.ts";
import { listMetrics } from "../http/http.ts";
import { type CatalogueEntry, catalogue } from "../util/catalogue.ts";
import { usage } from "./command-line.ts";

/** What these pages read of a schema of valibot. */
interface Shape {
  readonly type: string;
  readonly wrapped?: Shape;
  readonly default?: unknown;
  readonly pipe?: readonly Shape[];
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly options?: readonly (Shape | string)[];
  readonly value?: Shape;
  readonly item?: Shape;
  readonly literal?: unknown;
  readonly requirement?: unknown;
  readonly metadata?: { readonly unit?: string; readonly why?: string };
}

/** One setting, told. */
interface Row {
  readonly name: string;
  readonly type: string;
  readonly range: string;
  readonly preset: string;
  readonly why: string;
}

const generated = "<!-- Written by `npm run docs`; changes made here are lost. -->";

/** Every generated page by its path below the root of the repository. */
export function referencePages(): Readonly<Record<string, string>> {
  return {
    "docs/reference/config.md": configPage(),
    "docs/reference/errors.md": errorsPage(),
    "docs/reference/cli.md": cliPage(),
    "docs/reference/metrics.md": metricsPage(),
  };
}

function unwrap(shape: Shape): Shape {
  return /optional$/.test(shape.type) && shape.wrapped !== undefined ? shape.wrapped : shape;
}

/** The actions of a pipe, or the shape alone. */
function actionsOf(shape: Shape): readonly Shape[] {
  const inner = unwrap(shape);
  return inner.pipe ?? [inner];
}

function row(name: string, shape: Shape): Row {
  const actions = actionsOf(shape);
  const find = (type: string) => actions.find((action) => action.type === type);
  const said = find("metadata")?.metadata;
  const first = actions[0];
  const isWhole = find("integer") !== undefined;
  return {
    name,
    type: isWhole ? (said?.unit ?? "number") : typeWord(first),
    range: rangeOf(find, first),
    preset: presetOf(shape),
    why: said?.why ?? "",
  };
}

function typeWord(shape: Shape | undefined): string {
  if (shape?.type === "string") return "text";
  if (shape?.type === "picklist" || shape?.type === "literal") return "word";
  if (shape?.type === "array") return isOfGroups(shape) ? "list of groups" : "list of texts";
  if (shape?.type === "record") return "groups by name";
  if (shape?.type === "boolean") return "true or false";
  return shape?.type ?? "";
}

/** A list whose items have keys of their own. */
function isOfGroups({ item }: Shape): boolean {
  return item?.entries !== undefined;
}

function rangeOf(find: (type: string) => Shape | undefined, first: Shape | undefined): string {
  const [least, most] = [find("min_value")?.requirement, find("max_value")?.requirement];
  if (least !== undefined || most !== undefined) return `${least ?? "…"} – ${most ?? "…"}`;
  if (first?.type === "picklist") return (first.options ?? []).join(", ");
  if (first?.type === "literal") return String(first.literal);
  const longest = find("max_length")?.requirement;
  if (longest !== undefined && first?.type === "array") return `at most ${longest}`;
  if (longest !== undefined) return `at most ${longest} characters`;
  return "";
}

function presetOf(shape: Shape): string {
  if (shape.type === "exact_optional") return "as for all";
  return shape.type === "optional" ? presetWord(shape.default) : "required";
}

function presetWord(preset: unknown): string {
  if (preset === "") return "(empty)";
  if (preset !== null && typeof preset === "object" && !Array.isArray(preset)) return "(none)";
  if (Array.isArray(preset)) return preset.length === 0 ? "(none)" : preset.join(", ");
  return `\`${String(preset)}\``;
}

function table(rows: readonly Row[], heading: string, variable: boolean): string {
  const head = variable
    ? `| ${heading} | type, unit | range | default | what for | variable |\n|---|---|---|---|---|---|`
    : `| ${heading} | type, unit | range | default | what for |\n|---|---|---|---|---|`;
  const names = new Set(settingNames());
  const lines = rows.map(({ name, type, range, preset, why }) => {
    const cells = [`\`${name}\``, type, range, preset, why];
    if (variable) cells.push(names.has(name) ? `\`${variableOf(name)}\`` : "");
    return `| ${cells.join(" | ")} |`;
  });
  return [head, ...lines].join("\n");
}

/** A section of plain settings; nothing for sections whose keys are free names. */
function sectionText(name: string, shape: Shape): string | undefined {
  const entries = unwrap(shape).entries;
  if (entries === undefined) return undefined;
  const rows = Object.entries(entries).map(([key, entry]) => row(`${name}.${key}`, entry));
  const more = { access: rightsText, broker: () => brokerText(entries) }[name];
  const parts = [`## ${name}`, table(rows, "setting", true), more?.()];
  return parts.filter((part) => part !== undefined).join("\n\n");
}

function brokerText(entries: Readonly<Record<string, Shape>>): string {
  return [networkText(entries), policiesText(entries)].join("\n\n");
}

/** One address of the network. */
function networkText({ network }: Readonly<Record<string, Shape>>): string {
  const entries = unwrap(network ?? { type: "" }).pipe?.[0]?.item?.entries ?? {};
  const rows = Object.entries(entries).map(([key, entry]) => row(key, entry));
  return [
    "### broker.network",
    "Each entry listens on one address; its peers are one principal. With keys, the way is encrypted (CURVE) and only " +
      "who holds one of them comes in. An entry without keys is refused while `access.mode` is closed, on loopback too. " +
      "See [connect by the network](../how-to/connect-by-network.md).",
    table(rows, "setting", false),
  ].join("\n\n");
}

/** What may be another for one service. */
function policiesText({ services }: Readonly<Record<string, Shape>>): string {
  const entries = unwrap(services ?? { type: "" }).pipe?.[0]?.value?.entries ?? {};
  const rows = Object.entries(entries).map(([key, entry]) => row(key, entry));
  return [
    "### broker.services.<service>",
    "By the name of a service or a pattern as of `access.principals` `serve`, best in quotes. Of several that fit, the " +
      "most exact counts, setting by setting: a name before patterns, of patterns the one with more letters. What none of them says is as for all services: `broker.busyTimeoutMs`, " +
      "`broker.queueMax`, `broker.requestTtlMs`, 3 attempts, and `never`. No service of plantd is replayed unless you " +
      "say so: among the operations of each are some that must not be carried out twice, and who asks repeats what may be.",
    table(rows, "setting", false),
    '```yaml\nbroker:\n  services:\n    "com.example.*": { queueMax: 50 }\n' +
      "    com.example.Forecast: { retry: if-lost, busyTimeoutMs: 600000 }\n```",
  ].join("\n\n");
}

/** How rights are written, and what is built in. */
function rightsText(): string {
  const list = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ") || "–";
  const rows = Object.entries(builtInRights).map(
    ([name, { serve, call }]) => `| \`${name}\` | ${list(serve)} | ${list(call)} |`,
  );
  return [
    "A *principal* is whoever comes in by one socket: `<run>/<principal>/broker.sock`. What a principal may do is two " +
      "lists of patterns, and what no pattern names is denied; only `mmi.*` is open to every principal, and nobody may " +
      "serve it.",
    "```yaml\naccess:\n  principals:\n    pump-controller:\n      serve: [com.example.Pump]\n" +
      "      call: [org.plantd.State.get, org.plantd.driver.*.status]\n" +
      "    technician:\n      call: [default, com.example.*]\n```",
    "A pattern is names joined by dots. Of `serve` they are the name of a service. Of `call` the last name is the " +
      "operation, those before it are the service: `org.plantd.State.get` is the operation `get` of `org.plantd.State` " +
      "and nothing else. The operation is the first frame of a request's body. `*` as the last name stands for all that " +
      "may follow: `com.example.*` in `serve` is every service whose name begins with `com.example.`; in `call` it is " +
      "every operation of the service `com.example` and of every service whose name begins with `com.example.`. `*` in " +
      "another place stands for exactly one name, `*` alone for everything; within a name it is refused.",
    "**A list written here replaces the built-in list of that principal; a list not written leaves it.** The word " +
      "`default` in a list stands for the built-in one, so `[default, com.example.*]` adds to it. Every principal " +
      "named here has a socket of its own; a new one is in no built-in list.",
    `| principal | serve | call |\n|---|---|---|\n${rows.join("\n")}`,
  ].join("\n\n");
}

/** The lines: one table per kind, and the devices once. */
function linesText(shape: Shape): string {
  const variants = (unwrap(shape).value?.options ?? []) as readonly Shape[];
  const parts: string[] = [
    "## lines",
    "One entry per physical line, by a name of your choice: `lines.<line>`. The part `driver:<line>` owns it. " +
      "The kind says which further settings it has.",
  ];
  let devices: Shape | undefined;
  for (const variant of variants) {
    const entries = variant.entries ?? {};
    const rows = Object.entries(entries)
      .filter(([key]) => key !== "devices")
      .map(([key, entry]) => row(key, entry));
    devices ??= entries.devices;
    parts.push(`### kind: ${String(entries.kind?.literal)}\n\n${table(rows, "setting", false)}`);
  }
  const device = devices === undefined ? undefined : unwrap(devices).value;
  const rows = Object.entries(device?.entries ?? {}).map(([key, entry]) => row(key, entry));
  parts.push(`### devices.<device>\n\n${table(rows, "setting", false)}`);
  return parts.join("\n\n");
}

function configPage(): string {
  const sections = Object.entries(schema.entries as Readonly<Record<string, Shape>>).map(
    ([name, shape]) => (name === "lines" ? linesText(shape) : sectionText(name, shape)),
  );
  return page("Settings", [
    "The configuration is one YAML file: `plantd.yaml` in the data folder, or the one named by `PLANTD_CONFIG` or " +
      "`--config`. Above it stand the variables of the environment, above them `--set NAME=VALUE`. Unknown keys are " +
      "refused, and all that is wrong is told at once, with line and column: `plant config check`.",
    "Four variables are no settings: `PLANTD_DATA_DIR` (where everything is kept, `./.plantd`), `PLANTD_RUN_DIR` (the " +
      "sockets), `PLANTD_CONFIG` (the file) and `PLANTD_RUN=source` (run a checkout without compiling).",
    ...sections.filter((text) => text !== undefined),
  ]);
}

function metricsPage(): string {
  const rows = listMetrics().map(
    ({ name, kind, help }) => `| \`plantd_${name}\` | ${kind} | ${help} |`,
  );
  return page("Metrics", [
    "What `/metrics` of the page tells Prometheus; `plantd run broker http` is enough for all of the bus. Counters count " +
      "since the part they come from started. What is not known is left out: a gateway without lines has no `plantd_line_…`. " +
      "Metrics of a service have the label `service`, those of a line `line`; refusals are told by `reason`, and what the " +
      "reasons are stands in services.md.",
    `| metric | kind | what |\n|---|---|---|\n${rows.join("\n")}`,
  ]);
}

/** Exit codes of `plant`, in order. */
const exits: readonly (readonly [number, string])[] = [
  [0, "done, or healthy"],
  [1, "a fault was found"],
  [2, "wrong usage"],
  [3, "there is no such thing"],
  [4, "no answer from the field device"],
  [5, "the field device answered with an exception"],
  [6, "the port cannot be used"],
  [7, "a part of plantd is not there"],
  [8, "not allowed"],
  [9, "the configuration is invalid"],
  [10, "the link to the centre is down"],
  [11, "a verification failed"],
  [12, "a confirmation is needed"],
  [70, "a defect of plantd ended it"],
  [124, "time ran out"],
  [130, "interrupted"],
];

function errorsPage(): string {
  const codes = Object.entries(catalogue as Readonly<Record<string, CatalogueEntry>>);
  return page("Errors", [
    "Every error has a code. Command, page, log and this page print from the same catalogue; `plant explain CODE` " +
      "works without a connection.",
    `## Exit codes\n\n| exit | meaning |\n|---|---|\n${exits.map(([code, meaning]) => `| ${code} | ${meaning} |`).join("\n")}`,
    "## Codes",
    ...codes.map(([code, entry]) => {
      const causes = entry.causes.map((cause) => `- ${cause}`).join("\n");
      const retry = entry.retry ? "The same request may succeed later." : "";
      return (
        `### ${code}\n\n${entry.sentence}\n\n${causes}\n\n` +
        `Next: \`${entry.next}\`. Exit ${entry.exit}. ${retry}`.trim()
      );
    }),
  ]);
}

function cliPage(): string {
  return page("Commands", [
    `## plantd\n\n\`\`\`\n${usage.trimEnd()}\n\`\`\``,
    cliReference().trimEnd(),
  ]);
}

function page(title: string, parts: readonly string[]): string {
  return `${[`# ${title}`, generated, ...parts].join("\n\n")}\n`;
}
