// The error catalogue: every code with its sentence, likely causes, next step and exit code.
// CLI, page, logs and docs print from here. It must not know how errors are raised.

/** One code, in words. */
export interface CatalogueEntry {
  /** What happened; `{name}` is filled from the detail of the occurrence. */
  readonly sentence: string;
  /** Likely causes, most likely first. */
  readonly causes: readonly string[];
  /** What to do next, a command where there is one. */
  readonly next: string;
  /** Exit code of `plant`: see the list in docs/reference/errors.md. */
  readonly exit: number;
  /** Whether the same request may succeed later without a change. */
  readonly retry: boolean;
}

function entry(
  exit: number,
  sentence: string,
  causes: readonly string[],
  next: string,
  retry = false,
): CatalogueEntry {
  return { sentence, causes, next, exit, retry };
}

const usage = 2;
const missing = 3;
const noAnswer = 4;
const exception = 5;
const portUnusable = 6;
const daemonGone = 7;
const notAllowed = 8;
const badConfig = 9;
const linkDown = 10;
const verifyFailed = 11;
const needsConsent = 12;
const timeRanOut = 124;

/** All codes, by room. */
export const catalogue = {
  // anywhere
  INTERNAL: entry(
    1,
    "Something went wrong inside plantd: {message}",
    ["a defect of this version"],
    "plant log --errors",
  ),
  REMOTE_FAILED: entry(
    1,
    "The other side reported {remoteCode}: {message}",
    ["the other side runs another version"],
    "plant version",
  ),
  USAGE: entry(usage, "{message}", ["a flag or argument is misspelt"], "plant help"),
  TIME_RAN_OUT: entry(
    timeRanOut,
    "No result within {waitedMs} ms",
    ["the gateway is busy", "the part that should answer is stuck"],
    "plant status",
    true,
  ),
  REQUEST_MALFORMED: entry(
    usage,
    "The request is not understood: {reason}",
    ["the caller speaks another version", "a field is missing or of the wrong type"],
    "plant version",
  ),
  OPERATION_UNKNOWN: entry(
    usage,
    "The service {service} has no operation {operation}",
    ["the caller speaks another version"],
    "plant version",
  ),
  LIMIT_REACHED: entry(
    1,
    "{limit} is limited to {max}",
    ["more was asked for than this gateway allows"],
    "wait and repeat; where it stays so, raise the limit in plantd.yaml",
  ),
  NOT_ALLOWED: entry(
    notAllowed,
    "{principal} may not {what}",
    ["the account lacks the role"],
    "repeat it on the gateway itself, with an account that may",
  ),
  NEEDS_CONSENT: entry(
    needsConsent,
    "{what} needs a confirmation",
    ["the command changes something that cannot be undone"],
    "repeat it with --yes",
  ),

  // config
  CONFIG_INVALID: entry(
    badConfig,
    "Errors in the configuration: {count}",
    ["a key is misspelt", "a value is out of its range"],
    "plant config check",
  ),
  CONFIG_UNREADABLE: entry(
    badConfig,
    "The configuration file {path} cannot be read: {reason}",
    ["the file does not exist", "its permissions are wrong"],
    "plant config check",
  ),
  PROFILE_INVALID: entry(
    badConfig,
    "Errors in the device profile {profile}: {count}",
    ["a key is misspelt", "an address or type is out of its range"],
    "plant config check",
  ),
  PROFILE_UNKNOWN: entry(
    badConfig,
    "There is no device profile named {profile}",
    ["the name is misspelt"],
    "plant config check",
  ),

  // mdp, wire, broker, client, worker
  FRAME_MALFORMED: entry(
    1,
    "A message on the bus is not MDP: frame {part} is wrong",
    ["the peer speaks another protocol or version"],
    "plant status",
  ),
  NO_SERVICE: entry(
    daemonGone,
    "Nobody serves {service}",
    ["the part is not running", "the name is misspelt"],
    "plant broker services",
    true,
  ),
  WORKER_LOST: entry(
    daemonGone,
    "The worker serving {service} disappeared; the request may or may not have been carried out",
    ["the part crashed or was restarted"],
    "plant broker workers",
  ),
  EXPIRED: entry(
    timeRanOut,
    "{service} did not answer in time; the request may or may not have been carried out",
    ["the part is busy, stands still or is not running"],
    "plant status",
    true,
  ),
  QUEUE_FULL: entry(
    1,
    "The queue of {service} is full at {max} requests",
    ["requests arrive faster than the part can serve them"],
    "plant broker queue",
    true,
  ),
  DENIED: entry(
    notAllowed,
    "{principal} may not use {service}",
    ["the peer came in by a socket without that right"],
    "add it to access.principals in plantd.yaml; plant broker queue counts what is denied",
  ),
  WORKER_REFUSED: entry(
    notAllowed,
    "The broker at {endpoint} sends away who wants to serve {service}",
    ["the principal of this address may not serve it", "the broker knows as many peers as it may"],
    "add it to serve of the principal in access.principals of plantd.yaml; plant broker queue",
  ),
  MESSAGE_TOO_LARGE: entry(
    1,
    "The message has {size} bytes; {max} are allowed",
    ["a request holds too many items"],
    "send fewer items at once",
  ),
  BROKER_UNREACHABLE: entry(
    daemonGone,
    "The broker does not answer at {endpoint}",
    ["plantd is not running", "the data folder is another one"],
    "plantd run",
    true,
  ),
  BROKER_SILENT: entry(
    daemonGone,
    "The broker at {endpoint} takes the connection and says nothing within {waitedMs} ms",
    ["it stands still, or the machine is very busy", "what listens there is no broker"],
    "try again; plant log, or a restart of plantd, where it goes on",
    true,
  ),
  SOCKET_FORBIDDEN: entry(
    notAllowed,
    "This account may not use the socket {path}",
    ["it is not in the group of the principal", "the group was added after this login"],
    "sudo usermod -aG plantd-technician NAME, and log in again; or sudo plant",
  ),
  BROKER_LOST: entry(
    daemonGone,
    "The connection to the broker broke; the request may or may not have been carried out",
    ["the broker crashed or was restarted"],
    "plant status",
  ),
  KEY_FILE_UNUSABLE: entry(
    portUnusable,
    "The key file {path} cannot be used: {reason}",
    ["it belongs to another account", "it was changed or cut short"],
    "repeat it with the account of the broker; to begin anew, remove the file and plant broker key",
  ),
  KEY_FILE_EXISTS: entry(
    usage,
    "There is a file {path} already",
    ["a pair of keys of this name was made before"],
    "take another name, or remove the file where nobody needs its keys",
  ),
  ENDPOINT_UNUSABLE: entry(
    portUnusable,
    "The address {endpoint} cannot be used: {reason}",
    ["another plantd is running on the same data folder", "the address is misspelt"],
    "plant status",
  ),
  CANCELLED: entry(130, "The request was cancelled", ["the caller gave up"], "repeat it", true),

  // simulator
  TOOL_MISSING: entry(
    missing,
    "The program {tool} of the Debian package {package} is not installed",
    ["the machine is new"],
    "install the package, then repeat",
  ),

  // drivers
  BUS_NO_ANSWER: entry(
    noAnswer,
    "{device} does not answer on {line}",
    ["the device has no power", "its address, speed or parity differ", "A and B are swapped"],
    "look at power and wires, then compare unit, speed and parity in plantd.yaml; plant status -v",
    true,
  ),
  BUS_FAULTY: entry(
    noAnswer,
    "{device} answers on {line}, but not validly: {fault}",
    ["noise, or a missing termination", "two devices have one address", "the speed differs"],
    "compare speed and parity in plantd.yaml with the device; plant status -v",
    true,
  ),
  BUS_EXCEPTION: entry(
    exception,
    "{device} refused with exception {exception} ({words}): the wire is good",
    ["the profile belongs to another device", "the device is busy or in local operation"],
    "compare the profile in plantd.yaml with the type plate of the device; plant status -v",
  ),
  PORT_UNUSABLE: entry(
    portUnusable,
    "The port {port} cannot be used: {reason}",
    ["it is unplugged", "another program holds it", "the device refuses the connection"],
    "look for the port in /dev/serial/by-path; plant status",
    true,
  ),
  DEVICE_UNKNOWN: entry(
    missing,
    "There is no device named {device} on {line}",
    ["the name is misspelt"],
    "plant status",
  ),
  DEVICE_DISABLED: entry(
    notAllowed,
    "The device {device} is disabled",
    ["the configuration says enabled: false"],
    "remove enabled: false from plantd.yaml, then start its driver again",
  ),
  POINT_UNKNOWN: entry(
    missing,
    "The device {device} has no point named {point}",
    ["the name is misspelt"],
    "plant values",
  ),
  POINT_READ_ONLY: entry(
    notAllowed,
    "The point {point} of {device} cannot be written",
    ["its profile does not allow it"],
    "its profile says which points can be written (access: write)",
  ),
  VALUE_REFUSED: entry(
    usage,
    "The value cannot be written: {reason}",
    ["it is out of the range of the profile", "it has another type"],
    "correct the value; the profile says its type and range",
  ),
  WRITE_GUARDED: entry(
    1,
    "Not written: {point} is {found}, not {expected} as expected",
    ["somebody else changed it"],
    "plant values",
  ),
  WRITE_UNVERIFIED: entry(
    verifyFailed,
    "{point} reads {found} after {written} was written",
    ["the device limits the value", "the device is in local operation"],
    "plant values",
  ),

  // main
  LINE_UNKNOWN: entry(
    badConfig,
    "The configuration has no line named {line}",
    ["the name is misspelt", "the part reads another configuration file"],
    "plant config check",
  ),
  DEMO_FOLDER: entry(
    usage,
    "The folder {folder} holds something that is not the demo's",
    ["it was named by --folder or PLANTD_DATA_DIR"],
    "npm start -- --folder ANOTHER",
  ),

  // central
  GATEWAY_UNKNOWN: entry(
    missing,
    "The centre knows no gateway {device}",
    ["the name is misspelt", "it was created at another centre"],
    "plantd central add {device}",
  ),
  CENTRE_PORT_UNUSABLE: entry(
    portUnusable,
    "The centre cannot listen on {host}:{port}: {reason}",
    ["another program holds the port", "the address is none of this machine's"],
    "choose another with --set central.port=PORT",
  ),
  CENTRE_REFUSED: entry(
    notAllowed,
    "The centre at {url} answered {status}",
    ["the admin token is another centre's", "the address is not the centre's"],
    "compare the address with what plantd run central prints",
  ),
  CENTRE_NOT_STARTED: entry(
    missing,
    "There is no centre in {folder}: {reason}",
    ["the centre has never started here", "the data folder is another one"],
    "plantd run central",
  ),

  // batch
  ENVELOPE_MALFORMED: entry(
    verifyFailed,
    "A message from the uplink is no envelope: {reason}",
    ["the peer runs another version", "something else publishes on this topic"],
    "plant version",
  ),
  ENVELOPE_FORGED: entry(
    verifyFailed,
    "A message for device {device} is not signed by a key that may",
    ["the key was rotated or revoked", "somebody else publishes on this topic"],
    "plant status",
  ),
  BATCH_MALFORMED: entry(
    verifyFailed,
    "A batch of records cannot be read: {reason}",
    ["the peer runs another version"],
    "plant version",
  ),
  BATCH_TOO_LARGE: entry(
    verifyFailed,
    "A message from the uplink is larger than the {max} that are allowed",
    ["the peer has larger limits"],
    "lower sync.batchBytesMax in plantd.yaml; plant config check",
  ),
  MESSAGE_MALFORMED: entry(
    verifyFailed,
    "A message {type} from the uplink is not understood: {reason}",
    ["the peer runs another version"],
    "plant version",
  ),

  // uplink, sync, fetch
  LINK_UNREACHABLE: entry(
    linkDown,
    "{address} cannot be reached: {reason}",
    ["the network or VPN is down", "a firewall closes the port", "the address is wrong"],
    "plant status",
    true,
  ),
  LINK_TLS_FAILED: entry(
    linkDown,
    "No trusted connection to {address}: {reason}",
    ["the certificate is of another site", "the clock is wrong", "a proxy opens the connection"],
    "plant status",
    true,
  ),
  LINK_REFUSED: entry(
    linkDown,
    "{address} refuses this gateway: {reason}",
    ["the device was removed at the centre", "its certificate has expired"],
    "plant enroll URL CODE",
    true,
  ),
  LINK_TAKEN_OVER: entry(
    linkDown,
    "Another client connected to {address} under the same name",
    ["a copy of this gateway is running", "the identity was restored on a second machine"],
    "look for a second gateway with this identity",
    true,
  ),
  LINK_CLOSED: entry(
    linkDown,
    "The connection to {address} ended: {reason}",
    ["the network failed", "the MQTT broker was stopped"],
    "plant status",
    true,
  ),
  LINK_BUSY: entry(
    linkDown,
    "{max} messages already wait for {address}",
    ["the connection is slower than what is sent"],
    "plant status",
    true,
  ),
  FETCH_FAILED: entry(
    linkDown,
    "{url} does not answer as it should: {reason}",
    ["the address is wrong", "the centre is not running", "a proxy is in the way"],
    "check the address with a browser",
    true,
  ),
  SYNC_IDENTITY_UNUSABLE: entry(
    portUnusable,
    "The identity in {path} cannot be used: {reason}",
    ["the file is damaged", "its permissions are wrong", "the disk is full"],
    "plant enroll URL CODE",
  ),

  // access
  TOKEN_MALFORMED: entry(
    notAllowed,
    "The token is not one of ours: {reason}",
    ["it was cut off while copying", "it belongs to another system"],
    "plant enroll URL CODE",
  ),
  TOKEN_FORGED: entry(
    notAllowed,
    "The token is not signed by a key of this site",
    ["its key was revoked", "it belongs to another site"],
    "plant enroll URL CODE",
  ),
  TOKEN_NOT_VALID: entry(
    notAllowed,
    "The token does not hold here and now: {reason}",
    ["it has expired", "it was made for another use", "the clock is wrong"],
    "plant status",
  ),
  KEY_SET_REFUSED: entry(
    verifyFailed,
    "The key set is refused: {reason}",
    ["it is older than the one known", "it comes from another site"],
    "plant status",
  ),
  ENROL_CODE_MALFORMED: entry(
    usage,
    "This is no enrolment code: {reason}",
    ["a character was misread"],
    "copy the code from the centre again",
  ),
  ENROL_REFUSED: entry(
    notAllowed,
    "The centre refuses the enrolment: {reason}",
    ["the code has expired or was used", "too many tries"],
    "ask the operator for a new code",
  ),
  ENROL_ANSWER_FORGED: entry(
    verifyFailed,
    "The answer to the enrolment does not come from who made the code: {reason}",
    ["the address belongs to somebody else", "the answer was changed on its way"],
    "check the address of the centre",
  ),

  // status, http, cli
  PART_DOWN: entry(
    daemonGone,
    "The part {part} does not answer",
    ["it is not running", "it was restarted a moment ago", "it is stuck"],
    "systemctl status 'plantd-*'; from a checkout: plantd run",
    true,
  ),
  REMOTE_SHAPE: entry(
    1,
    "The answer is not understood: {reason}",
    ["the other side runs another version"],
    "plant version",
  ),
  LINE_FAILED: entry(
    portUnusable,
    "The port of line {line} cannot be used",
    ["the adapter is unplugged", "another program holds the port", "permissions are wrong"],
    "look for the port in /dev/serial/by-path, then plant config check",
    true,
  ),
  DEVICE_SILENT: entry(
    noAnswer,
    "The device {device} does not answer",
    ["it has no power", "its address was changed", "its A and B wires are swapped"],
    "compare its address, speed and parity with plant config check",
    true,
  ),
  DEVICE_FAULTY: entry(
    exception,
    "The device {device} answers, but not with its values",
    ["the profile does not fit the device", "the device reports a fault of its own"],
    "compare the profile with the maker's register table",
  ),
  LINK_AWAY: entry(
    linkDown,
    "There is no link to the centre",
    ["the network is down", "the centre is down", "the clock is wrong", "the key was revoked"],
    "nothing is lost: records wait on this gateway (plant outbox)",
    true,
  ),
  ECHO_DIFFERS: entry(
    verifyFailed,
    "Another text came back from {service} than was sent",
    ["the service is no echo service", "a peer on the way changes messages"],
    "plant broker workers",
  ),
  OUTBOX_PAUSED: entry(
    1,
    "Publishing is paused: records wait on this gateway",
    ["somebody paused it: plant outbox pause"],
    "plant outbox resume",
  ),
  BACKLOG_STUCK: entry(
    linkDown,
    "Records wait although the link is up",
    ["the centre does not acknowledge", "the link is too slow for what is measured"],
    "plant outbox",
    true,
  ),
  NOT_ENROLLED: entry(
    linkDown,
    "This gateway is not enrolled at a centre",
    ["it is new", "its identity was reset"],
    "plant enroll URL CODE",
  ),
  NO_LINES: entry(
    1,
    "No line is configured",
    ["the configuration file is empty", "another data folder is in use"],
    "write a line into plantd.yaml, then plant config check",
  ),
  DISK_LOW: entry(
    1,
    "The data folder has little room left",
    ["logs or backups of other programs", "the disk is too small for store.mapMiB"],
    "free some room, or move the data folder by PLANTD_DATA_DIR",
  ),
  CLOCK_UNSYNCED: entry(
    1,
    "The clock is not synchronised",
    ["there is no time server in reach"],
    "times are corrected at the centre once the clock was set",
  ),
  HTTP_HOST: entry(
    notAllowed,
    "This page does not answer to the name {host}",
    ["the address was typed with a name the gateway does not know"],
    "use 127.0.0.1, or add the name to http.hosts",
  ),
  HTTP_METHOD: entry(
    notAllowed,
    "The method {method} is not allowed here",
    ["the page is for reading only"],
    "use GET",
  ),
  HTTP_NOT_FOUND: entry(
    missing,
    "There is nothing at {path}",
    ["the address is misspelt"],
    "open /",
  ),
  LISTEN_FAILED: entry(
    1,
    "The page cannot listen on {address}: {reason}",
    ["another program uses the port", "the address is not one of this machine"],
    "set http.port or http.host",
  ),
  CODE_UNKNOWN: entry(
    missing,
    "There is no code {unknownCode}",
    ["it is misspelt", "another version wrote it"],
    "plant explain",
  ),
  WRITE_FAILED: entry(
    exception,
    "The value was not written to {device}/{point}",
    ["the device refused it", "the expected value was not there"],
    "plant values {device}/{point}",
  ),
  WRITE_UNKNOWN: entry(
    noAnswer,
    "Whether the value was written to {device}/{point} is not known: no answer came",
    ["the answer was lost on the line"],
    "plant values {device}/{point}, then decide",
  ),
  PASSPHRASE_MISSING: entry(
    usage,
    "A passphrase is needed and there is no terminal to ask for it",
    ["the command runs in a script"],
    "give --passphrase-file FILE",
  ),
  FILE_UNREADABLE: entry(
    usage,
    "The file {path} cannot be read: {reason}",
    ["it does not exist", "its permissions are wrong"],
    "ls -l {path}",
  ),
  FILE_UNWRITABLE: entry(
    1,
    "The file {path} cannot be written: {reason}",
    ["the medium is full, read-only or pulled out", "there is no such folder"],
    "df -h; then repeat it with another FILE",
  ),

  // disk, journal, state, logger
  STORE_LOCKED: entry(
    1,
    "The store in {folder} is open in another process",
    ["another gateway runs on the same data folder"],
    "plant status",
  ),
  STORE_FULL: entry(
    1,
    "The store has no room left ({roomBytes} bytes)",
    ["the centre was away for long", "the medium is full", "store.mapMiB is small"],
    "plant outbox status",
    true,
  ),
  STORE_FAILED: entry(
    1,
    "The store could not be written: {reason}",
    ["the medium is failing", "the folder is read-only"],
    "plant log --errors",
    true,
  ),
  STORE_BUSY: entry(
    1,
    "The store is busy: {reason}",
    ["writes arrive faster than the medium takes them", "somebody else works with a backup"],
    "repeat it",
    true,
  ),
  STORE_CLOSED: entry(
    daemonGone,
    "The store is closed",
    ["plantd is stopping"],
    "plant status",
    true,
  ),
  STORE_DAMAGED: entry(
    1,
    "The store is damaged: {reason}",
    ["the medium lost or changed what was written"],
    "start the store again: it replaces what is damaged; then plant backup losses",
  ),
  STORE_SHORT: entry(
    1,
    "The store has little room left",
    [
      "the centre was away for long, or never took what waits for it",
      "a consumer holds records and never acknowledges them",
      "store.mapMiB is small for what is measured",
    ],
    "plant state stats, then plant state consumers list",
  ),
  STORE_COMMITS_FAIL: entry(
    1,
    "Records could not be written to the store in the last hour",
    ["the store or its medium has no room left", "the medium is failing"],
    "plant log --errors --since 1h",
  ),
  STORE_SLOW: entry(
    1,
    "The medium takes long to write",
    ["the medium is wearing out", "another program writes much to it"],
    "plant state stats, and look what else writes: cat /proc/diskstats",
  ),
  CHECKPOINT_OLD: entry(
    1,
    "Current values were not written back for long: a start takes longer",
    ["the store or its medium has no room left", "more is set than the medium takes"],
    "plant state stats",
  ),
  SNAPSHOT_OLD: entry(
    1,
    "The store has no young snapshot: a damaged database costs more",
    ["the medium has no room for a copy", "the copy was found damaged"],
    "plant log --errors --since 1d, then plant backup create",
  ),
  CONSUMER_HOLDS: entry(
    1,
    "A consumer holds records of a stream that fills",
    ["the centre was away for long", "the consumer is gone and was never removed"],
    "plant state consumers list, and plant state consumers remove NAME for one that is gone",
  ),
  STORE_UNUSABLE: entry(
    1,
    "The store in {folder} cannot be opened: {reason}",
    ["the folder belongs to another user", "the medium is read-only", "its path is no folder"],
    "ls -la {folder}",
  ),
  STORE_CROWDED: entry(
    1,
    "All places for readers of the store in {folder} are taken",
    ["other programs have the store's file open", "a program that reads it hangs"],
    "fuser -v {folder}/lock.mdb",
    true,
  ),
  STORE_FORMAT_NEWER: entry(
    1,
    "The store was written in format {found}; this version reads up to {known}",
    ["an older version was installed over a newer one"],
    "plant version",
  ),
  SOURCE_NUMBER_OLD: entry(
    1,
    "The number {number} of {source} came after {newest}",
    ["a request was repeated after a later one", "two senders use one source name"],
    "plant log",
  ),
  SEQUENCE_AHEAD: entry(
    1,
    "Sequence {sequence} of {stream} does not exist; the last is {head}",
    ["the store was restored from a backup"],
    "plant outbox status",
  ),
  SEQUENCE_GONE: entry(
    missing,
    "Sequence {sequence} of {stream} is no longer kept; the first is {first}",
    ["the records were acknowledged and have been trimmed"],
    "plant outbox status",
  ),
  STATE_NOT_FOUND: entry(
    missing,
    "There is no {key} in {scope}",
    ["the name is misspelt", "the device was never polled", "it was deleted, or its time was over"],
    "plant state list {scope}",
  ),
  STATE_CONFLICT: entry(
    1,
    "{key} of {scope} is not what was expected",
    ["somebody else changed it first"],
    "read it again, and decide anew",
  ),
  SCHEMA_VIOLATED: entry(
    usage,
    "{key} of {scope} is to be {wanted}; given was {given}",
    ["the value is of another type or out of range", "the schema of the scope is too narrow"],
    "plant state get plantd/schemas {scope}",
  ),
  SCHEMA_UNFIT: entry(
    1,
    "{count} points of {scope} do not fit the schema",
    ["they were set before there was one"],
    "mend or delete those named, or set the schema with keep",
  ),
  SCOPE_RESERVED: entry(
    notAllowed,
    "The scope {scope} belongs to the store itself",
    ["the name was chosen by chance"],
    "choose a name that does not begin with plantd/",
  ),
  WATCH_GONE: entry(
    1,
    "What was deleted after {after} is not known any more; it is from {since} on",
    ["the store was started again or restored", "very much was deleted at once"],
    "list the points anew and watch from the position of the list",
    true,
  ),
  CONSUMER_UNKNOWN: entry(
    missing,
    "There is no consumer {consumer}",
    ["the name is misspelt", "it was removed before"],
    "plant state consumers list",
  ),
  SCOPE_EXISTS: entry(
    1,
    "The scope {scope} exists",
    ["it was created before"],
    "plant state list {scope}",
  ),
  SCOPE_NOT_FOUND: entry(
    missing,
    "There is no scope {scope}",
    ["the name is misspelt"],
    "plant state list-scopes",
  ),
  PART_UNKNOWN: entry(
    missing,
    "No part {part} was heard of",
    ["the name is misspelt", "it has not started yet"],
    "plant log level",
  ),
  BACKUP_NOT_FOUND: entry(
    missing,
    "There is no backup {path}",
    ["the name is misspelt", "the stick is not mounted"],
    "plant backup list",
  ),
  BACKUP_UNREADABLE: entry(
    verifyFailed,
    "The backup {path} cannot be read: {reason}",
    ["it is damaged, cut short, or no backup", "the store may not read that folder"],
    "plant backup list",
  ),
  STORE_REPLACED: entry(
    1,
    "The database was damaged and was replaced: {reason}",
    ["the medium lost or changed what was written", "the medium is failing"],
    "plant backup losses",
  ),
  IMPORT_REFUSED: entry(
    usage,
    "Line {line} cannot be imported: {reason}",
    ["the file was not made by plant state export", "it was changed by hand"],
    "plant state import FILE --dry-run",
  ),
  UPDATE_PENDING: entry(
    1,
    "The store keeps its format {format} until the update is confirmed",
    ["an update was installed and not confirmed yet"],
    "plant status",
  ),
  PASSPHRASE_WRONG: entry(
    notAllowed,
    "The passphrase does not open {path}",
    ["the passphrase is misspelt", "the head of the file is damaged"],
    "repeat it with the passphrase of that backup",
  ),
} as const satisfies Record<string, CatalogueEntry>;

/** A name in the catalogue. */
export type Code = keyof typeof catalogue;

/** Exit codes by what they mean. */
export const exitCodes = {
  usage,
  missing,
  noAnswer,
  exception,
  portUnusable,
  daemonGone,
  notAllowed,
  badConfig,
  linkDown,
  verifyFailed,
  needsConsent,
  timeRanOut,
} as const;
