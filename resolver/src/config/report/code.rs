//! The stable code of every class of problem, printed with it: `error[C101]`.
//!
//! A number, once published, keeps its meaning; a class that goes away leaves a gap.

#![forbid(unsafe_code)]

// C0xx: the file itself.
pub(crate) const NAMED_BUT_EMPTY: &str = "C001";
pub(crate) const NOT_FOUND: &str = "C002";
pub(crate) const NOT_A_FILE: &str = "C003";
pub(crate) const UNREADABLE: &str = "C004";
pub(crate) const WORLD_WRITABLE: &str = "C005";
pub(crate) const TOO_LARGE: &str = "C006";
pub(crate) const NOT_UTF8: &str = "C007";
pub(crate) const EMPTY_FILE: &str = "C008";
pub(crate) const SECURE_EXECUTION: &str = "C009";
pub(crate) const UNTRUSTED_PATH: &str = "C010";
pub(crate) const READ_ONCE: &str = "C011";
pub(crate) const NOT_CONFIGURED: &str = "C012";

// C10x: the text, read on its own.
pub(crate) const SYNTAX: &str = "C100";
pub(crate) const UNKNOWN_KEY: &str = "C101";
pub(crate) const WRONG_TYPE: &str = "C102";
pub(crate) const UNKNOWN_VALUE: &str = "C103";
pub(crate) const OUT_OF_RANGE: &str = "C104";
pub(crate) const MISSING_KEY: &str = "C105";
pub(crate) const UNKNOWN_VERSION: &str = "C106";
pub(crate) const BAD_PATTERN: &str = "C107";
pub(crate) const BAD_NOTATION: &str = "C108";
pub(crate) const BAD_NAME: &str = "C109";

// C11x: references. These stop only what uses them.
pub(crate) const UNDEFINED_REFERENCE: &str = "C110";
pub(crate) const MALFORMED_REFERENCE: &str = "C111";
pub(crate) const FILE_REFERENCE: &str = "C112";
pub(crate) const UNSUITABLE_REFERENCE: &str = "C113";
pub(crate) const SWITCHED_OFF: &str = "C114";

// C2xx: what the text means as a whole.
pub(crate) const TOPIC_CLAIMED_TWICE: &str = "C201";
pub(crate) const UNKNOWN_BACKEND: &str = "C202";
pub(crate) const UNKNOWN_SERVICE: &str = "C203";
pub(crate) const RESERVED_ATTRIBUTE: &str = "C204";
pub(crate) const CONTRADICTION: &str = "C205";
pub(crate) const SERVICE_REPEATED: &str = "C206";
pub(crate) const MATCHES_NOTHING: &str = "C207";

// C3xx: right, but hardly meant.
pub(crate) const OVERRIDE_WITHOUT_TOPIC: &str = "C301";
pub(crate) const PATTERNS_TIE: &str = "C302";
pub(crate) const EMPTY_SERVICE: &str = "C303";
pub(crate) const UNUSED_BACKEND: &str = "C304";
pub(crate) const UNUSED_PLUGIN: &str = "C305";
pub(crate) const ALWAYS_EXCLUDED: &str = "C306";
pub(crate) const NO_BACKEND: &str = "C307";
pub(crate) const REPEATED_ENTRY: &str = "C308";
pub(crate) const SHARED_PLUGIN_FILE: &str = "C309";
pub(crate) const NO_SERVICE: &str = "C310";
pub(crate) const HIDDEN_CHARACTER: &str = "C311";
pub(crate) const HALF_OF_A_SERVICE: &str = "C312";
pub(crate) const NOTHING_MEASURED: &str = "C313";
pub(crate) const CAPTURED_SECRET: &str = "C314";
pub(crate) const PORT_OF_THE_OTHER: &str = "C315";
pub(crate) const SAME_BACKEND_TWICE: &str = "C316";

// C4xx: the environment.
pub(crate) const NOTHING_CONFIGURED: &str = "C400";
pub(crate) const SWITCHED_OFF_BY_VARIABLE: &str = "C401";
pub(crate) const BAD_VARIABLE: &str = "C402";
pub(crate) const VARIABLES_IGNORED: &str = "C403";

// C5xx: the JSON format of 2019.
pub(crate) const OLD_FORMAT: &str = "C500";
pub(crate) const OLD_UNKNOWN_KEY: &str = "C501";
pub(crate) const OLD_REMOTE_SAMPLER: &str = "C502";
pub(crate) const OLD_MISPLACED_SENDER: &str = "C503";
pub(crate) const OLD_QUEUE_SIZE: &str = "C504";
pub(crate) const OLD_FLUSH_INTERVALS: &str = "C505";
pub(crate) const OLD_REPEATED_KEY: &str = "C506";

// C600: a `[[test]]` of the file failed. Only the command `check` asks (resolver/tool/src/check/tests_of_file.rs).
