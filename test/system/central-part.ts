// A centre as a process of its own, for tests: its argument is a JSON object {data, mqtt, port}.
// It says "ready <url>" once it has started.
import { startCentral } from "../../src/central/central.ts";
import { parseConfig } from "../../src/config/config.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { findPaths } from "../../src/util/paths.ts";
import { systemRandom as random } from "../../src/util/random.ts";

const given = JSON.parse(process.argv[2] ?? "{}") as { data: string; mqtt: string; port: number };
const { mqtt, port } = given;
const paths = findPaths({ PLANTD_DATA_DIR: given.data });
const config = { ...parseConfig("", {}).central, mqtt, port, mapMiB: 64 };
const log = openLog({ service: "central", level: "warn" });
const central = await startCentral({ clock, log, random, paths, version: "test" }, config);
process.stdout.write(`ready ${central.url}\n`);
process.on("SIGTERM", () => {
  void central[Symbol.asyncDispose]().then(() => process.exit(0));
});
