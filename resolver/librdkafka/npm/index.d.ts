/**
 * The absolute path of `libtracer_interceptors.so`: a value for the client property `plugin.library.paths`, and one for
 * `LD_PRELOAD`. The backend plugins lie beside it, where it finds them.
 */
export const libraryPath: string;

/**
 * A client's properties, with the library among its plugins.
 *
 * Returns a new object: `plugin.library.paths`, which comes first, as librdkafka wants it, and what `config` holds.
 * Plugins that are named there already stay and come before ours. Calling it on its own result changes nothing.
 *
 * Throws an `Error` if the library lies at a path that the property cannot hold.
 */
export function clientProperties<T extends object>(config?: T): T & { 'plugin.library.paths': string };

/**
 * What tells where a message is in the log: a message of node-rdkafka, or what `eachMessage` of
 * `@confluentinc/kafka-javascript` is given.
 */
export type Message =
  | { topic: string; partition: number; offset: number | string; headers?: unknown }
  | { topic: string; partition: number; message: { offset: number | string; headers?: unknown } };

/**
 * Calls `work`, which processes `message`, and returns what it returns. The message's span lasts until then, or until
 * the promise settles that `work` makes and returns; what is sent, and traced with OpenTelemetry, in its course is under that span.
 *
 * For what the layer does not see by itself: messages that are taken from a list by their index, or put into a queue.
 * Where nothing is traced it only calls `work`.
 */
export function processing<T>(message: Message, work: () => T): T;

/** The `traceparent` of the message that the calling code is at work on, for log lines and requests. */
export function currentContext(): string | undefined;
