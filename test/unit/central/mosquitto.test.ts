// The files written for mosquitto. It must not know mosquitto's behaviour: a system test does.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { placeMosquitto } from "../../../src/central/mosquitto.ts";

const files = { "ca.crt": "A", "server.crt": "B", "server.key": "C" };

/** Settings that belong to a listener: before the first they would open one of their own. */
const ofListener =
  /^(max_connections|protocol|cafile|certfile|keyfile|tls_version|require_certificate|use_identity)/;

test("one listener, with TLS 1.3, certificates asked for, and nothing of a listener before it", () => {
  const folder = mkdtempSync(join(tmpdir(), "pm-"));
  try {
    const path = placeMosquitto(folder, { port: 8883, user: "mosquitto" }, files);
    const lines = readFileSync(path, "utf8").split("\n");
    const at = lines.indexOf("listener 8883 127.0.0.1");
    assert.ok(at > 0);
    assert.equal(lines.filter((line) => /^(listener|port) /.test(line)).length, 1);
    assert.deepEqual(
      lines.slice(0, at).filter((line) => ofListener.test(line)),
      [],
    );
    const wanted = ["tls_version tlsv1.3", "require_certificate true", "allow_anonymous false"];
    for (const line of [...wanted, "use_identity_as_username true", "user mosquitto"]) {
      assert.ok(lines.includes(line), line);
    }
    const acl = readFileSync(join(folder, "acl"), "utf8");
    assert.match(acl, /^pattern write plantd\/v1\/%u\/up\/#$/m);
    assert.match(acl, /^pattern read plantd\/v1\/%u\/down\/#$/m);
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const mode = statSync(join(folder, entry.name)).mode & 0o777;
      assert.equal(mode, entry.isFile() ? 0o600 : 0o700, entry.name);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
