// OpenSSL by node:crypto, for those whom a process may never ask: loading it takes 1.5 MB, a tenth
// of what a broker has. It must not know what for.

/** `node:crypto`, loaded when it is first asked for. */
export function openssl(): typeof import("node:crypto") {
  return process.getBuiltinModule("node:crypto");
}
