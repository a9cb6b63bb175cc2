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
